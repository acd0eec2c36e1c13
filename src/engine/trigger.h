/*
 * trigger.h
 *		What makes a client enter a workflow, as its definition says it.
 */
#ifndef MFI_ENGINE_TRIGGER_H
#define MFI_ENGINE_TRIGGER_H

#include "engine/definition.h"

/* Reads the object under "trigger" into definition->trigger. */
extern void mfi_trigger_read(MfiDefinition *definition, json_t *trigger);

#endif /* MFI_ENGINE_TRIGGER_H */
