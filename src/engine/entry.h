/*
 * entry.h
 *		What makes a client enter a workflow, checked against the installation.
 */
#ifndef MFI_ENGINE_ENTRY_H
#define MFI_ENGINE_ENTRY_H

#include "engine/definition.h"

/* Needs SPI. */
extern void mfi_entry_check_anchor(const MfiDefinition *definition);

/* Settles what a run of a workflow with a trigger is about: definition->subject. Needs SPI. */
extern void mfi_entry_check_trigger(MfiDefinition *definition);

/* Whether it is a canonical role, whose rows runs can be about. */
extern bool mfi_entry_is_role(const char *name);

/* Gives a NOTICE about an event (may be NULL) that nothing makes. Needs SPI. */
extern void mfi_entry_note_unknown_event(const MfiDefinition *definition, const char *path,
										 const char *event);

#endif /* MFI_ENGINE_ENTRY_H */
