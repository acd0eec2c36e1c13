/*
 * shape.h
 *		Templates that know the place they are inserted into.
 *
 * A slot is one template with the escape of its place. What depends on
 * settings and secrets alone is rendered once, when the gateway is loaded. A
 * shape is a JSON document whose strings are slots.
 */
#ifndef MFI_GATEWAY_SHAPE_H
#define MFI_GATEWAY_SHAPE_H

#include "base/json.h"
#include "message/mustache.h"

typedef struct MfiSlot
{
	MfiTemplate *template;		/* NULL: fixed holds the text */
	char	   *fixed;
	bool		is_bare;		/* one tag and nothing else */
	char	   *bare_name;
	bool		has_tags;
	MfiEscape	escape;
	struct MfiShape *document;	/* of a form's field that is JSON */
} MfiSlot;

typedef struct MfiField
{
	char	   *name;
	MfiSlot    *slot;
} MfiField;

typedef enum MfiShapeKind
{
	MFI_SHAPE_OBJECT,
	MFI_SHAPE_ARRAY,
	MFI_SHAPE_SLOT,
	MFI_SHAPE_LITERAL,
	MFI_SHAPE_VALUE,			/* {"$json": "options.parameters"}: the value as it is */
	MFI_SHAPE_EACH,				/* {"$each": "options.parameters", "$as": …, "$key": …}: one for each element */
	MFI_SHAPE_IF,				/* {"$if": "options.template", "$then": …, "$else": …} */
} MfiShapeKind;

typedef struct MfiShape
{
	MfiShapeKind kind;
	char	   *name;			/* of an object's member */
	char	   *literal;		/* JSON text; of a value, a list or a condition, its path */
	MfiSlot    *slot;			/* of a list that makes an object, the names of its members */
	List	   *members;		/* of MfiShape; of a list what each becomes, of a condition $then and $else, which may be NULL */
} MfiShape;

/* Which names a template may use at a place. */
typedef enum MfiScopeOfTags
{
	MFI_TAGS_SETTINGS,			/* settings.* and secret.* */
	MFI_TAGS_MESSAGE,			/* and what belongs to the message */
} MfiScopeOfTags;

/*
 * Reads a template into the current memory context; path names its place in
 * errors (22023). Raw tags only where settings.* stand.
 */
extern MfiSlot *mfi_slot_parse(const char *text, const char *path, MfiEscape escape,
							   MfiScopeOfTags scope);
extern MfiShape *mfi_shape_parse(json_t *json, const char *path);
/* A field whose text is a JSON document. */
extern MfiSlot *mfi_slot_parse_document(json_t *json, const char *path);

/* Renders once what settings and secrets alone decide. */
extern void mfi_slot_settle(MfiSlot *slot, Jsonb *context);
extern void mfi_shape_settle(MfiShape *shape, Jsonb *context);

/* Render for one message; context as definition.h makes it. The text is palloc'd; 54000 if it grows too long. */
extern void mfi_slot_append(const MfiSlot *slot, Jsonb *context, StringInfo out);
extern char *mfi_slot_render(const MfiSlot *slot, Jsonb *context);
/* A member whose template renders to nothing is left out, and one whose value is not there, and what is empty without them. */
extern void mfi_shape_append(const MfiShape *shape, Jsonb *context, StringInfo out);

#endif							/* MFI_GATEWAY_SHAPE_H */
