/*
 * parameter.c
 *		Parameters and headers of a request being built, each escaped for its
 *		place or refused.
 */
#include "postgres.h"

#include "gateway/request.h"

void
mfi_request_append_parameter(StringInfo out, const char *name, const char *value, char first, bool *is_first)
{
	if (!*is_first)
		appendStringInfoChar(out, '&');
	else if (first != '\0')
		appendStringInfoChar(out, first);
	*is_first = false;
	mfi_escape_append(out, name, strlen(name), MFI_ESCAPE_URL);
	appendStringInfoChar(out, '=');
	mfi_escape_append(out, value, strlen(value), MFI_ESCAPE_URL);
}

void
mfi_request_add_parameter(MfiRequest *request, bool is_form, const char *name, const char *value)
{
	StringInfoData out;
	bool		is_first;

	initStringInfo(&out);
	if (is_form)
	{
		appendBinaryStringInfo(&out, request->body, request->body_length);
		is_first = out.len == 0;
		mfi_request_append_parameter(&out, name, value, '\0', &is_first);
		request->body = out.data;
		request->body_length = out.len;
		return;
	}
	appendStringInfoString(&out, request->url);
	is_first = true;
	mfi_request_append_parameter(&out, name, value, strchr(request->url, '?') != NULL ? '&' : '?', &is_first);
	request->url = out.data;
}

void
mfi_request_add_header(MfiRequest *request, const char *name, const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value for header \"%s\" holds a line break or another control character", name)));
	request->headers = lappend(request->headers, psprintf("%s: %s", name, value));
}
