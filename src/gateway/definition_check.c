/*
 * definition_check.c
 *		What every part of a gateway's definition asks of a header's name and
 *		of an address.
 */
#include "postgres.h"

#include "gateway/definition.h"
#include "gateway/gateway.h"
#include "gateway/reader.h"

char *
mfi_definition_copy(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

void
mfi_definition_check_header(const char *name, const char *path)
{
	if (name[0] == '\0' ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != strlen(name))
		mfi_reader_fail(path, "a header's name has letters, digits, \"-\" and \"_\" only", NULL);
	if (pg_strcasecmp(name, "Content-Length") == 0 || pg_strcasecmp(name, "Transfer-Encoding") == 0 ||
		pg_strcasecmp(name, "Host") == 0 || pg_strcasecmp(name, "Connection") == 0)
		mfi_reader_fail(path, "this header is not the definition's to set", NULL);
}

bool
mfi_definition_is_scheme(const char *url, bool is_mail)
{
	if (is_mail)
		return strncmp(url, "smtp://", 7) == 0 || strncmp(url, "smtps://", 8) == 0;
	return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

/*
 * mfi_definition_check_url refuses a message's values in the scheme and the host: where a
 * message goes is decided by an administrator alone.
 */
void
mfi_definition_check_url(const char *url, const char *path, bool is_mail)
{
	const char *host = strstr(url, "://");
	MfiSlot    *slot;
	char	   *authority;

	for (const char *c = url; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			mfi_reader_fail(path, "it holds a line break or another control character", "Write it percent-encoded.");
	if (host == NULL)
	{
		if (strncmp(url, "{{", 2) != 0)
			mfi_reader_fail(path, is_mail ? "expected smtp://… or a setting that holds it" : "expected https://… or a setting that holds it", NULL);
		authority = pnstrdup(url, strcspn(url, "}") + strspn(url + strcspn(url, "}"), "}"));
	}
	else
		authority = pnstrdup(url, host + 3 - url + strcspn(host + 3, "/?"));
	slot = mfi_slot_parse(authority, path, MFI_ESCAPE_NONE, MFI_TAGS_SETTINGS);
	if (slot->fixed != NULL && !mfi_definition_is_scheme(slot->fixed, is_mail))
		mfi_reader_fail(path, is_mail ? "only smtp and smtps are known" : "only http and https are known", NULL);
}

List *
mfi_definition_read_fields(json_t *object, const char *path, bool is_header)
{
	const char *name;
	json_t	   *member;
	List	   *fields = NIL;

	json_object_foreach(object, name, member)
	{
		char	   *place = mfi_reader_path(path, name);
		MfiField   *field = palloc0(sizeof(MfiField));
		json_t	   *xml;

		if (is_header)
			mfi_definition_check_header(name, place);
		field->name = pstrdup(name);
		xml = json_is_object(member) && !is_header && json_object_size(member) == 1 ? json_object_get(member, "xml") : NULL;
		if (json_is_string(xml))
			field->slot = mfi_slot_parse(json_string_value(xml), place, MFI_ESCAPE_XML, MFI_TAGS_MESSAGE);
		else if (json_is_object(member) && !is_header)
			field->slot = mfi_slot_parse_document(member, place);
		else if (json_is_string(member))
			field->slot = mfi_slot_parse(json_string_value(member), place, MFI_ESCAPE_NONE, MFI_TAGS_MESSAGE);
		else
			mfi_reader_fail(place, "expected a string", NULL);
		fields = lappend(fields, field);
	}
	return fields;
}
