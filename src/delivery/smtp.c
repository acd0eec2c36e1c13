/*
 * smtp.c
 *		A letter handed to a mail server: the exchange in SMTP's terms.
 *
 * libcurl speaks the protocol and stuffs the dots. What the server said last
 * is kept as the answer's body. A server that did not get the last byte of a
 * letter must not deliver it, so there is doubt only after that byte.
 */
#include "postgres.h"

#include <ctype.h>

#include "delivery/smtp.h"

static size_t on_read(char *target, size_t size, size_t count, void *arg);

/* libcurl: the next bytes of the letter. */
static size_t
on_read(char *target, size_t size, size_t count, void *arg)
{
	MfiExchange *exchange = arg;
	size_t		length = Min(size * count, exchange->letter_length - exchange->letter_sent);

	memcpy(target, exchange->letter + exchange->letter_sent, length);
	exchange->letter_sent += length;
	return length;
}

void
mfi_smtp_forget(MfiExchange *exchange)
{
	curl_slist_free_all(exchange->recipients);
	free(exchange->letter);
	exchange->recipients = NULL;
	exchange->letter = NULL;
	exchange->letter_length = exchange->letter_sent = 0;
}

bool
mfi_smtp_set(MfiExchange *exchange, const MfiRequest *request)
{
	CURL	   *easy = exchange->easy;
	bool		has_login = request->user != NULL && request->user[0] != '\0';

	mfi_smtp_forget(exchange);
	exchange->recipients = curl_slist_append(NULL, request->mail_to);
	exchange->letter = malloc(request->body_length);
	if (exchange->recipients == NULL || exchange->letter == NULL)
		return false;
	memcpy(exchange->letter, request->body, request->body_length);
	exchange->letter_length = request->body_length;
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) exchange->letter_length);
	return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_MAIL_FROM, request->mail_from) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, exchange->recipients) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) (request->is_unencrypted ? CURLUSESSL_NONE : CURLUSESSL_ALL)) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, has_login ? "AUTH=PLAIN;AUTH=LOGIN" : NULL) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERNAME, has_login ? request->user : NULL) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PASSWORD, has_login ? request->password : NULL) == CURLE_OK;
}

/*
 * mfi_smtp_note_line keeps the lines of the server's last reply: "250-…" goes
 * on, "250 …" ends it.
 */
void
mfi_smtp_note_line(MfiExchange *exchange, const char *data, size_t length)
{
	size_t		kept;

	if (length < 3 || data[0] < '1' || data[0] > '5' || !isdigit((unsigned char) data[1]) || !isdigit((unsigned char) data[2]))
		return;
	/* Its farewell says nothing of the letter. */
	if (strncmp(data, "221", 3) == 0)
		return;
	if (exchange->is_reply_whole)
		exchange->body_length = 0;
	exchange->reply_code = (data[0] - '0') * 100 + (data[1] - '0') * 10 + data[2] - '0';
	exchange->is_reply_whole = length < 4 || data[3] != '-';
	if (exchange->body == NULL)
	{
		exchange->body = malloc(MFI_SMTP_REPLY_BYTES_MAX);
		exchange->body_capacity = exchange->body != NULL ? MFI_SMTP_REPLY_BYTES_MAX : 0;
	}
	kept = Min(length, (size_t) Max(0, exchange->body_capacity - exchange->body_length - 1));
	if (kept == 0)
		return;
	memcpy(exchange->body + exchange->body_length, data, kept);
	exchange->body_length += (int) kept;
	exchange->body[exchange->body_length] = '\0';
}

/*
 * mfi_smtp_judge is for what libcurl calls a failure. A refusal that the server
 * spoke out is an answer, whatever step it was given at. There is doubt once
 * the server may have the whole letter.
 */
MfiTransport
mfi_smtp_judge(const MfiExchange *exchange)
{
	if (exchange->result == CURLE_PEER_FAILED_VERIFICATION || exchange->result == CURLE_SSL_CACERT_BADFILE)
		return MFI_TRANSPORT_REFUSED;
	if (exchange->reply_code >= 400 && exchange->is_reply_whole)
		return MFI_TRANSPORT_ANSWERED;
	if (exchange->result == CURLE_USE_SSL_FAILED || exchange->result == CURLE_LOGIN_DENIED)
		return MFI_TRANSPORT_REFUSED;
	return exchange->letter_sent == exchange->letter_length ? MFI_TRANSPORT_BROKEN : MFI_TRANSPORT_NOT_WRITTEN;
}

const char *
mfi_smtp_error(const MfiExchange *exchange)
{
	if (exchange->result == CURLE_USE_SSL_FAILED)
		return "the mail server does not offer TLS";
	if (exchange->result == CURLE_LOGIN_DENIED)
		return "the mail server offers no login by PLAIN or LOGIN";
	return curl_easy_strerror(exchange->result);
}
