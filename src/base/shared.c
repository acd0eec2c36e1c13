/*
 * shared.c
 *		Shared memory that modules of this library ask for at server start.
 */
#include "postgres.h"

#include "base/shared.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define SHARED_MAX 4

static const MfiShared *all[SHARED_MAX];
static int	count = 0;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	for (int i = 0; i < count; i++)
	{
		RequestAddinShmemSpace(all[i]->size());
		if (all[i]->tranche != NULL)
			RequestNamedLWLockTranche(all[i]->tranche, 1);
	}
}

static void
start(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < count; i++)
	{
		bool		is_found;

		*all[i]->memory = ShmemInitStruct(all[i]->name, all[i]->size(), &is_found);
		if (!is_found)
			all[i]->fill(*all[i]->memory);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
mfi_shared_define(const MfiShared *shared)
{
	Assert(count < SHARED_MAX);
	all[count++] = shared;
	if (count > 1)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start;
}
