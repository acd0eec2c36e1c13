/*
 * webhook.h
 *		A request of a provider as it came in: bytes, and where they came to.
 */
#ifndef MFI_RECEIVE_WEBHOOK_H
#define MFI_RECEIVE_WEBHOOK_H

#include "base/json.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct MfiWebhook
{
	const char *method;
	const char *url;			/* ours, as the provider knows it, without query; NULL: not known */
	const char *query;			/* without '?' */
	Jsonb	   *headers;		/* an object of texts */
	const char *body;			/* bytes */
	int			body_length;
	int64		now_s;			/* seconds since 1970 */
} MfiWebhook;

/* The header's value, palloc'd; NULL if it did not come. Names are told apart by letters, not by their case. */
extern char *mfi_webhook_header(const MfiWebhook *webhook, const char *name);

/* Whether the content type says a form, or JSON. */
extern bool mfi_webhook_is_form(const MfiWebhook *webhook);
extern bool mfi_webhook_is_json(const MfiWebhook *webhook);

/*
 * What a body says, freed with the current memory context: JSON as it is; for
 * forms and queries an object of the query's and the form's texts. NULL if it
 * cannot be read.
 */
extern json_t *mfi_webhook_parse_json(const char *text, int length);
extern json_t *mfi_webhook_parse_parameters(const MfiWebhook *webhook);

/* A parameter of the query, a form's field, or a member of a JSON body's object, palloc'd; NULL if there is none. */
extern char *mfi_webhook_parameter(const MfiWebhook *webhook, const char *name);

#endif							/* MFI_RECEIVE_WEBHOOK_H */
