/*
 * mustache_node.h
 *		A template as its parser leaves it and its renderer walks it.
 *
 * Nodes stand in one array in the order of the text. A section is followed
 * by its content; `next` is the place behind it. Only mustache.c and
 * mustache_render.c include this.
 */
#ifndef MFI_MESSAGE_MUSTACHE_NODE_H
#define MFI_MESSAGE_MUSTACHE_NODE_H

#include "message/mustache.h"

typedef enum NodeKind
{
	NODE_TEXT,
	NODE_VARIABLE,
	NODE_SECTION,
	NODE_INVERTED,
	NODE_PARTIAL
} NodeKind;

/* A stretch of the template's own copy of its text. */
typedef struct Slice
{
	const char *text;
	int length;
} Slice;

typedef struct TemplateNode
{
	NodeKind kind;
	bool is_raw;   /* variable: not escaped */
	Slice slice;   /* the text, or the name as it was written */
	Slice *keys;   /* the name's parts */
	int key_count; /* 0 for the implicit iterator */
	Slice indent;  /* partial that stands alone in its line */
	int next;	   /* section: index of the node behind it */
} TemplateNode;

struct MfiTemplate
{
	TemplateNode *nodes;
	int node_count;
	int node_capacity;
};

#endif /* MFI_MESSAGE_MUSTACHE_NODE_H */
