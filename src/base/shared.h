/*
 * shared.h
 *		Shared memory that modules of this library ask for at server start.
 */
#ifndef MFI_BASE_SHARED_H
#define MFI_BASE_SHARED_H

typedef struct MfiShared
{
	const char *name;			/* as pg_shmem_allocations shows it */
	const char *tranche;		/* of one lock beside it; NULL: none */
	Size		(*size) (void); /* bytes; called when max_worker_processes is settled */
	void		(*fill) (void *memory); /* the first process to come fills it */
	void	  **memory;			/* set in every process that attaches */
} MfiShared;

/* Only while the library is being preloaded; shared must outlive it (static). */
extern void mfi_shared_define(const MfiShared *shared);

#endif							/* MFI_BASE_SHARED_H */
