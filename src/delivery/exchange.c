/*
 * exchange.c
 *		What may be asked for, how, and what is known of how it went.
 */
#include "postgres.h"

#include <openssl/x509_vfy.h>

#include "base/guc.h"
#include "delivery/address.h"
#include "delivery/exchange.h"
#include "delivery/smtp.h"

/*
 * mfi_exchange_check_url looks at scheme and host; returns why they are refused,
 * or NULL.
 */
const char *
mfi_exchange_check_url(MfiExchange *exchange, const MfiRequest *request)
{
	CURLU	   *parsed = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *port = NULL;
	char	   *user = NULL;
	const char *refusal = NULL;

	if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, request->url, 0) != CURLUE_OK ||
		curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		refusal = "the gateway's URL is not valid";
	else if (curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK)
		refusal = "the gateway's URL holds a user name";
	else
	{
		exchange->may_be_private = mfi_address_is_listed(mfi_guc_private_hosts, host, port);
		if (strcmp(scheme, "http") == 0 && !exchange->may_be_private)
			refusal = "plain http is only for hosts in mfiauto.private_hosts";
		else if (request->is_mail && strcmp(scheme, "smtp") != 0 && strcmp(scheme, "smtps") != 0)
			refusal = "mail goes to smtp and smtps only";
		else if (!request->is_mail && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
			refusal = "only http and https are known";
		else if (request->is_mail && request->is_unencrypted && !exchange->may_be_private)
			refusal = "mail without TLS is only for hosts in mfiauto.private_hosts";
		else if (exchange->is_loopback_only && !mfi_address_is_loopback_name(host))
			refusal = "under a clock only loopback and sandbox gateways are used";
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(parsed);
	return refusal;
}

bool
mfi_http_is_loopback(const char *url)
{
	CURLU	   *parsed = curl_url();
	char	   *host = NULL;
	bool		is_loopback = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK && mfi_address_is_loopback_name(host);

	curl_free(host);
	curl_url_cleanup(parsed);
	return is_loopback;
}

/*
 * mfi_exchange_judge tells what is known of an exchange: the whole trouble with
 * sending money-costing messages is in the difference between the last two.
 */
MfiTransport
mfi_exchange_judge(const MfiExchange *exchange)
{
	if (exchange->is_address_refused && exchange->result != CURLE_OK && exchange->start_count == 0)
		return MFI_TRANSPORT_REFUSED;
	/* libcurl takes a head that ends in its middle for a whole one. */
	if (exchange->result == CURLE_OK && !exchange->is_mail && !exchange->has_head)
		return MFI_TRANSPORT_BROKEN;
	if (exchange->result == CURLE_OK ||
		(exchange->result == CURLE_WRITE_ERROR && exchange->is_truncated))
		return MFI_TRANSPORT_ANSWERED;
	if (exchange->is_mail)
		return mfi_smtp_judge(exchange);
	if (exchange->result == CURLE_PEER_FAILED_VERIFICATION || exchange->result == CURLE_SSL_CACERT_BADFILE)
		return MFI_TRANSPORT_REFUSED;
	return exchange->start_count > 0 ? MFI_TRANSPORT_BROKEN : MFI_TRANSPORT_NOT_WRITTEN;
}

/*
 * certificate_error says what is wrong with the certificate that the server
 * showed: it expired, nobody knows its authority, it is another host's.
 */
static const char *
certificate_error(MfiExchange *exchange)
{
	long		result = X509_V_OK;

	curl_easy_getinfo(exchange->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	snprintf(exchange->error, sizeof(exchange->error), "certificate of the gateway's server is not valid: %s",
			 result == X509_V_OK ? "it is not for this host" : X509_verify_cert_error_string(result));
	return exchange->error;
}

const char *
mfi_exchange_error(MfiExchange *exchange)
{
	if (exchange->is_address_refused && mfi_exchange_judge(exchange) == MFI_TRANSPORT_REFUSED)
		return "the gateway's address is private and its host is not in mfiauto.private_hosts";
	if (exchange->result == CURLE_PEER_FAILED_VERIFICATION)
		return certificate_error(exchange);
	if (exchange->result == CURLE_SSL_CACERT_BADFILE)
		return "the file of mfiauto.ca_file cannot be used";
	return exchange->is_mail ? mfi_smtp_error(exchange) : curl_easy_strerror(exchange->result);
}

/*
 * mfi_exchange_set_request sets what differs from request to request, all of it each time,
 * since handles are used again.
 */
bool
mfi_exchange_set_request(MfiExchange *exchange, const MfiRequest *request, const MfiHttpLimits *limits)
{
	CURL	   *easy = exchange->easy;
	ListCell   *cell;
	bool		is_good;

	curl_slist_free_all(exchange->headers);
	/* Under sigv4 libcurl would sign what it then leaves out. */
	exchange->headers = request->sigv4_scope == NULL ? curl_slist_append(NULL, "Expect:") : NULL;
	foreach(cell, request->headers)
	{
		struct curl_slist *longer = curl_slist_append(exchange->headers, lfirst(cell));

		if (longer == NULL)
			return false;
		exchange->headers = longer;
	}
	is_good = curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERNAME, request->user) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->sigv4_scope) == CURLE_OK;
	if (request->sigv4_scope == NULL)
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
	if (request->body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) request->body_length);
		is_good &= curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK;
		is_good &= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
									strcmp(request->method, "POST") == 0 ? NULL : request->method) == CURLE_OK;
	}
	else
	{
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
					 (long) (limits->is_http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	/* Streams of one connection, not connections: who wants HTTP/2 counts them. */
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, limits->is_http2 ? 1L : 0L);
	return is_good;
}
