/*
 * context.c
 *		A memory context in which every chunk is a malloc of its own, so that
 *		AddressSanitizer knows where each begins, ends and when it is gone.
 *
 * The product is compiled with AllocSetContextCreateInternal renamed to ours.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "fuzz.h"

typedef struct FuzzContext
{
	MemoryContextData header;
	dlist_head	chunks;
} FuzzContext;

/* The context's pointer stands right before the data, where mcxt.c looks for it. */
typedef struct Chunk
{
	dlist_node	node;
	Size		size;
	MemoryContext context;
} Chunk;

static void *
allocate(MemoryContext context, Size size)
{
	Chunk	   *chunk = malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		return NULL;
	chunk->context = context;
	chunk->size = size;
	dlist_push_tail(&((FuzzContext *) context)->chunks, &chunk->node);
	context->mem_allocated += size;
	context->isReset = false;
	return chunk + 1;
}

static void
release(MemoryContext context, void *pointer)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;

	context->mem_allocated -= chunk->size;
	dlist_delete(&chunk->node);
	free(chunk);
}

static void *
resize(MemoryContext context, void *pointer, Size size)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;
	void	   *larger = allocate(context, size);

	if (larger == NULL)
		return NULL;
	memcpy(larger, pointer, Min(size, chunk->size));
	release(context, pointer);
	return larger;
}

static void
reset(MemoryContext context)
{
	dlist_mutable_iter iterator;

	dlist_foreach_modify(iterator, &((FuzzContext *) context)->chunks)
		release(context, dlist_container(Chunk, node, iterator.cur) + 1);
}

static void
destroy(MemoryContext context)
{
	reset(context);
	free(context);
}

static Size
chunk_space(MemoryContext context, void *pointer)
{
	return ((Chunk *) pointer - 1)->size;
}

static bool
is_empty(MemoryContext context)
{
	return dlist_is_empty(&((FuzzContext *) context)->chunks);
}

static void
tell(MemoryContext context, MemoryStatsPrintFunc print, void *data, MemoryContextCounters *totals, bool to_stderr)
{
}

MemoryContext
mfi_fuzz_context_create(MemoryContext parent, const char *name, Size least, Size first, Size most)
{
	static const MemoryContextMethods methods = {
		.alloc = allocate, .free_p = release, .realloc = resize, .reset = reset, .delete_context = destroy,
		.get_chunk_space = chunk_space, .is_empty = is_empty, .stats = tell,
	};
	FuzzContext *context = malloc(sizeof(FuzzContext));

	dlist_init(&context->chunks);
	MemoryContextCreate(&context->header, T_AllocSetContext, &methods, parent, name);
	return &context->header;
}
