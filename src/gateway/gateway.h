/*
 * gateway.h
 *		A gateway: its definition checked and compiled, with the settings and
 *		secrets of one row. It turns a message into a request and an answer
 *		into an outcome, and knows nothing of sockets, queues or transactions.
 *
 * Everything of a gateway lives in its own memory context.
 */
#ifndef MFI_GATEWAY_GATEWAY_H
#define MFI_GATEWAY_GATEWAY_H

#include <time.h>

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "gateway/shape.h"

#define MFI_GATEWAY_ERROR_BYTES_MAX 200
#define MFI_GATEWAY_ID_BYTES_MAX 250
#define MFI_GATEWAY_POLL_BYTES_MAX 1048576
#define MFI_GATEWAY_MASK "***"		/* stands for a secret where people look */

typedef enum MfiAuthKind
{
	MFI_AUTH_NONE,
	MFI_AUTH_BASIC,
	MFI_AUTH_BEARER,
	MFI_AUTH_HEADER,
	MFI_AUTH_QUERY,
	MFI_AUTH_OAUTH2,
	MFI_AUTH_JWT,
	MFI_AUTH_SIGNED,
	MFI_AUTH_SIGV4,
} MfiAuthKind;

typedef enum MfiBodyKind
{
	MFI_BODY_NONE,
	MFI_BODY_FORM,
	MFI_BODY_JSON,
	MFI_BODY_MULTIPART,
	MFI_BODY_TEXT,				/* xml and raw: one template */
} MfiBodyKind;

/* What an answer means for the message and for the gateway. */
typedef enum MfiVerdict
{
	MFI_VERDICT_SENT,
	MFI_VERDICT_RETRY,			/* surely not accepted; try again */
	MFI_VERDICT_THROTTLE,		/* surely not accepted; the gateway asks for a pause */
	MFI_VERDICT_PERMANENT,		/* this message never, here */
	MFI_VERDICT_RECIPIENT_DEAD,
	MFI_VERDICT_OPTED_OUT,
	MFI_VERDICT_CONFIG_BROKEN,	/* nothing will pass until somebody acts */
	MFI_VERDICT_UNAUTHORIZED,	/* a cached token was refused: once more with a new one */
	MFI_VERDICT_UNKNOWN,		/* may have been accepted */
} MfiVerdict;

/* How the exchange itself went. */
typedef enum MfiTransport
{
	MFI_TRANSPORT_ANSWERED,
	MFI_TRANSPORT_NOT_WRITTEN,	/* no byte of the request left */
	MFI_TRANSPORT_BROKEN,		/* the request was written, no whole answer came */
	MFI_TRANSPORT_REFUSED,		/* we refused: address not allowed, protocol */
} MfiTransport;

typedef struct MfiErrorRule
{
	List	   *statuses;		/* of int pairs: from, to; NIL: any */
	List	   *codes;			/* of char *; NIL: any */
	MfiVerdict	verdict;
} MfiErrorRule;

typedef struct MfiGateway
{
	MemoryContext context;
	int			reference_count;
	uint64		origin;			/* the same as long as definition, settings and secrets are */
	char	   *name;
	char	   *channel;
	int			priority;
	bool		is_sandbox;
	bool		is_sql;			/* tables of this database, no request */
	bool		is_inbox;		/* kept for the app to fetch */
	bool		is_idempotent;
	bool		is_http2;
	bool		is_masked;		/* for people: secrets are masks, nothing is signed */
	Jsonb	   *settings;		/* what a template may say, defaults filled in */
	Jsonb	   *secrets;
	List	   *secret_names;	/* of char *: what the definition needs */

	/* request */
	bool		is_mail;		/* transport smtp: the request is a letter, see mail.h */
	MfiSlot    *mail_from;
	MfiSlot    *mail_reply_to;
	MfiSlot    *mail_return_path;
	MfiSlot    *mail_unsubscribe;	/* an address that takes letters in the place of the one-click link */
	MfiSlot    *mail_helo;
	MfiSlot    *mail_tls;
	bool		is_unencrypted;
	char	   *method;
	MfiSlot    *url;
	List	   *query;			/* of MfiField */
	List	   *headers;		/* of MfiField */
	MfiBodyKind body_kind;
	List	   *body_fields;	/* of MfiField */
	MfiShape   *body_shape;
	MfiSlot    *body_text;
	char	   *content_type;
	char	   *idempotency_header;
	MfiSlot    *receipt_url;
	char	   *sender;			/* the setting; NULL: none */
	bool		needs_text_hex;

	/* authentication */
	MfiAuthKind auth_kind;
	MfiSlot    *auth_user;
	MfiSlot    *auth_secret;
	MfiSlot    *auth_name;		/* header or parameter */
	MfiSlot    *token_url;
	MfiSlot    *token_scope;
	bool		is_token_auth_in_form;
	struct MfiJwt *jwt;			/* the token itself, or what a token is given for */
	MfiSlot    *sign_method_slot;
	const char *sign_method;
	char	   *sign_timestamp; /* parameter; NULL: none */
	char	   *sigv4_scope;	/* libcurl's provider1:provider2:region:service */

	/* answer */
	List	   *success_statuses;
	char	   *success_path;
	char	   *success_regex;
	List	   *success_values;
	char	   *id_path;
	char	   *id_header;
	char	   *id_segment_path;
	char	   *id_regex;
	List	   *code_paths;		/* of char *: the first that leads to a value */
	List	   *error_rules;
	char	   *retry_after_header;
	char	   *retry_after_path;
	double		retry_after_default_s;

	/* what is fetched where the provider sends nothing */
	struct MfiGateway *poll;	/* whose request asks, with how far we have read as its text; NULL: nothing is fetched */

	/* limits */
	double		rate_per_second;	/* 0: none */
	int			concurrency;
	int			timeout_ms;
	int			connect_timeout_ms;
	int			answer_bytes_max;
	int			attempts_max;
	int			breaker_failures;
	int64		expires_in_least_s; /* what the provider takes as the time that it may try */
	int64		expires_in_most_s;
} MfiGateway;

/* A message as a request template sees it. */
typedef struct MfiEnvelope
{
	int64		client_id;
	int64		message_id;
	const char *to;
	const char *title;
	const char *text;
	const char *html;
	const char *locale;
	const char *key;			/* uuid, the same at each attempt */
	bool		is_ucs2;
	Jsonb	   *options;		/* of the template, rendered; NULL: none */
	const char *unsubscribe_url;
	const char *class;
	const char *country;
	const char *workflow;
	const char *step;
	int64		expires_in_s;	/* at least 1; 0: it does not expire */
} MfiEnvelope;

typedef struct MfiRequest
{
	bool		is_mail;		/* body is a letter */
	char	   *mail_from;		/* of the envelope */
	char	   *mail_to;
	bool		is_unencrypted;
	char	   *method;
	char	   *url;
	List	   *headers;		/* of char *, "Name: value" */
	char	   *body;			/* NULL: none */
	int			body_length;
	char	   *user;			/* basic authentication and sigv4 */
	char	   *password;
	char	   *sigv4_scope;
} MfiRequest;

typedef struct MfiAnswer
{
	MfiTransport transport;
	int			status;
	const char *body;
	int			body_length;
	bool		is_truncated;
	const char *id_header;		/* value of the header that the gateway named */
	const char *retry_after;
	time_t		retry_after_at; /* the same as an HTTP date; -1: it is none */
	const char *error;			/* of the transport */
} MfiAnswer;

typedef struct MfiOutcome
{
	MfiVerdict	verdict;
	int			status;
	double		retry_after_s;	/* -1: not said */
	char		provider_id[MFI_GATEWAY_ID_BYTES_MAX + 1];
	char		error[MFI_GATEWAY_ERROR_BYTES_MAX + 1];	/* without personal data */
} MfiOutcome;

/*
 * Checks and compiles a definition, a JSON text; what is no JSON is 22P02, every
 * other fault 22023 with its JSON path in the DETAIL. settings and secrets are
 * objects and are copied; while a gateway is being created secrets is NULL. The
 * gateway lives in a context of its own under parent, held once: it is gone
 * when mfi_gateway_release() was called once more than mfi_gateway_retain().
 */
extern MfiGateway *mfi_gateway_compile(const char *name, const char *channel, int priority,
									   const char *definition, Jsonb *settings, Jsonb *secrets,
									   MemoryContext parent);
extern void mfi_gateway_retain(MfiGateway *gateway);
extern void mfi_gateway_release(MfiGateway *gateway);

/* Builds the request in the current memory context; token is NULL where none is needed. 22023 if a value does not fit its place. */
extern void mfi_gateway_build_request(const MfiGateway *gateway, const MfiEnvelope *envelope,
									  const char *token, MfiRequest *request);
/* Whether requests carry a token that is kept from one to the next. */
extern bool mfi_gateway_needs_token(const MfiGateway *gateway);
/* Signs a token of our own, palloc'd, good for so many seconds; false if tokens are to be asked for. 22023 if the key is not usable. */
extern bool mfi_gateway_make_token(const MfiGateway *gateway, char **token, double *lifetime_s);
/* The request for a token, in the current memory context; 22023 as above. */
extern void mfi_gateway_build_token_request(const MfiGateway *gateway, MfiRequest *request);

/* Judges an answer. Never raises, whatever the body holds. */
extern void mfi_gateway_judge(const MfiGateway *gateway, const MfiAnswer *answer, MfiOutcome *outcome);
/* Reads a token answer; false and outcome filled if there is none. The token is palloc'd. */
extern bool mfi_gateway_read_token(const MfiAnswer *answer, char **token, double *lifetime_s,
								   MfiOutcome *outcome);
/* How requests say who sends them, in a word or two. */
extern const char *mfi_gateway_auth_name(const MfiGateway *gateway);
/* As errors of a definition and attempts call it, static text. */
extern const char *mfi_verdict_name(MfiVerdict verdict);
/* The scheme and host part of the gateway's address, for loopback tests; palloc'd. */
extern char *mfi_gateway_base_url(const MfiGateway *gateway);

#endif							/* MFI_GATEWAY_GATEWAY_H */
