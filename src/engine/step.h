/*
 * step.h
 *		Reading the steps of a definition: step.c has lists, moments and the
 *		steps that send and branch; its companions the other kinds.
 */
#ifndef MFI_ENGINE_STEP_H
#define MFI_ENGINE_STEP_H

#include "engine/definition.h"

/* What a list of steps has come to while it is read. */
typedef struct MfiPlace
{
	MfiDefinition *definition;
	MfiMoment latest; /* no later step may have an earlier moment */
	MfiMoment fork;	  /* where the ways of the step being read begin */
	int depth;
	int loop_no; /* the repeat whose list is being read; 0: none */
} MfiPlace;

/* Reads what a kind has beside "at"; its keys are known to be its own. */
typedef void (*MfiStepReader)(MfiPlace *place, MfiStep *step, json_t *object);

/*
 * Reads a list that clients are sent into by the step at hand, its key below
 * the step's path or path itself. Empty if it may be and is, or is missing.
 */
extern List *mfi_step_read_way(MfiPlace *place, json_t *list, const char *path, bool may_be_empty);

/* Whether no client comes out of the end of a list. */
extern bool mfi_step_ends_always(List *steps);

/* step_branch.c */
extern void mfi_step_read_if(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_switch(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_split(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_repeat(MfiPlace *place, MfiStep *step, json_t *object);

/* step_wait.c */
extern void mfi_step_read_wait(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_wait_for(MfiPlace *place, MfiStep *step, json_t *object);

/* step_action.c */
extern void mfi_step_read_set(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_add_to(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_remove_from(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_task(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_webhook(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_emit(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_enroll(MfiPlace *place, MfiStep *step, json_t *object);
extern void mfi_step_read_exit(MfiPlace *place, MfiStep *step, json_t *object);

#endif /* MFI_ENGINE_STEP_H */
