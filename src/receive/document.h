/*
 * document.h
 *		What a webhook says, by the rules of a definition.
 */
#ifndef MFI_RECEIVE_DOCUMENT_H
#define MFI_RECEIVE_DOCUMENT_H

#include "receive/webhook.h"

/* A body as one rule sees it. */
typedef struct MfiDocument
{
	const MfiWebhook *webhook;
	json_t	   *root;
	json_t	   *parameters;		/* of the query alone */
} MfiDocument;

/* One element of the list that a rule names, and the object whose list it is. */
typedef struct MfiElement
{
	const MfiDocument *document;
	json_t	   *value;
	json_t	   *parent;
} MfiElement;

/* Every element at a path such as entry[].changes[].value.statuses[]: List of MfiElement. An empty path is the body itself, or each element of an array. */
extern List *mfi_document_list(const MfiDocument *document, const char *path);

/*
 * The text at a path, or at the first of an array of them that leads to one;
 * palloc'd, at most so many bytes; NULL if there is none.
 */
extern char *mfi_document_text(const MfiElement *element, json_t *path, int bytes_max);
/* Whether all conditions hold: {"path", "equals" | "exists"}, or a list of them; NULL: yes. Never raises because of the element. */
extern bool mfi_document_fits(const MfiElement *element, json_t *conditions);

#endif							/* MFI_RECEIVE_DOCUMENT_H */
