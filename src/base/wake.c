/*
 * wake.c
 *		Waking the workers at commit.
 */
#include "postgres.h"

#include "base/wake.h"

void
mfi_wake_at_commit(MfiWakeTarget target)
{
}
