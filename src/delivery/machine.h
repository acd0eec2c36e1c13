/*
 * machine.h
 *		What the parts of the delivery machine share: lanes (a gateway at work)
 *		and items (a message on its way).
 */
#ifndef MFI_DELIVERY_MACHINE_H
#define MFI_DELIVERY_MACHINE_H

#include "delivery/delivery.h"
#include "gateway/gateway.h"
#include "delivery/http.h"
#include "delivery/rate.h"
#include "lib/ilist.h"

typedef struct MfiLane
{
	char		name[NAMEDATALEN];
	MfiGateway *gateway;		/* NULL: gone, disabled or not usable; problem says why */
	char	   *problem;
	char		version[64];	/* of the row that the gateway was read from */
	bool		is_held;		/* the clock forbids it */
	bool		is_held_by_operator;
	bool		is_over_budget;
	MfiRate		rate;
	dlist_head	ready;			/* claimed, waiting for their start */
	int			ready_count;
	int			in_flight;
	int			window;			/* most in flight, as its answers have earned it */
	int64		answered_at_ms; /* when it last had something to say of a message */
	char	   *cursors;		/* how far the scan came, jsonb text */
	int64		cursors_at_ms;
	int64		claim_at_ms;	/* not before */
	bool		has_due;		/* the last claim did not empty the queue */
	bool		has_strays;		/* a better gateway may have left it something */
	int64		strays_at_ms;
	double		throughput;		/* per second, smoothed */
	int64		throughput_at_ms;
	int			finished_since;

	char	   *token;
	uint64		token_origin;	/* of the gateway that it is for */
	int64		token_until_ms;
	int			token_number;	/* counts the tokens that this lane had */
	bool		is_fetching_token;
	bool		wants_token;	/* something is due that waits for one */

	/* what is fetched where the provider sends nothing */
	bool		is_poll_due;
	bool		is_polling;
	char	   *poll_cursor;	/* NULL: from the beginning */
	int64		poll_not_before_ms;

	/* since the last save */
	int64		sent;
	int64		failed;
	int64		retried;
	int64		unknown;
	char		last_error[MFI_GATEWAY_ERROR_BYTES_MAX + 1];
	bool		is_dirty;
	bool		is_saved;		/* in the transaction at hand */
} MfiLane;

/* What is to be done with a message that came back. */
typedef enum MfiAction
{
	MFI_ACTION_SETTLE,			/* it ends in a state */
	MFI_ACTION_REQUEUE,
} MfiAction;

typedef struct MfiItem
{
	dlist_node	node;
	MemoryContext context;
	MfiLane    *lane;
	MfiGateway *gateway;		/* retained while the item lives */
	MfiEnvelope envelope;
	bool		is_token;		/* a request for a token, no message */
	void		(*take_answer) (struct MfiItem *item, const MfiAnswer *answer);	/* of what is no message: a question for what is new */
	char	   *poll_body;		/* its answer; NULL: none, poll_error says why */
	int			poll_length;
	int			poll_status;
	const char *poll_error;
	MfiDeliveryTest *test;
	int			attempts;
	bool		may_resend;		/* the class prefers twice to never */
	char	   *tried;			/* comma-separated gateways */
	bool		is_repeated;	/* once more after 401 */
	int			token_number;	/* which token it was sent with */
	bool		is_leased;		/* its claim was committed */
	int64		since_ms;
	TimestampTz started_at;
	MfiExchange *exchange;

	MfiOutcome	outcome;
	MfiAction	action;
	bool		is_kept;		/* nothing was sent: it is in the sandbox */
	bool		is_shown;		/* or, is_shown, in the app's inbox */
	bool		is_handed_over; /* to tables of this database, as it is recorded */
	const char *state;
	const char *reason;
	double		delay_s;
	bool		is_pinned;
	bool		is_tried;
	bool		counts;
} MfiItem;

typedef struct MfiMachine
{
	bool		is_running;
	MemoryContext context;
	MemoryContext pump_context;	/* of one call of mfi_delivery_pump() */
	List	   *lanes;
	dlist_head	finished;
	int			finished_count;
	dlist_head	fetched;		/* polls that were answered */
	int64		finished_since_ms;
	int			unrecorded_count;	/* what could not be recorded when that was tried last */
	int			in_flight;
	int			exchanges_max;
	int64		look_at_ms;		/* next look at the configuration */
	int64		sweep_at_ms;
	bool		has_swept;		/* every lease of this process is known to it */
	int64		poll_tables_at_ms;
	int64		trouble_until_ms;
	char		trouble[256];
	char		fingerprint[64];
	bool		is_armed;		/* this server is the one that may send for the world */
	bool		may_send;
	bool		is_dry_run;
	MfiDeliveryCounts counts;
} MfiMachine;

/* machine.c */
extern MfiMachine mfi_machine;

/* The machine's transactions; both leave its own memory context current. */
extern void mfi_machine_begin(const char *activity);
extern void mfi_machine_commit(void);
/* After an error in one of the machine's transactions: abort, log, wait a little. */
extern void mfi_machine_failed(const char *what);
/* An item in a context of its own, which holds the lane's gateway until it is freed. */
extern MfiItem *mfi_item_new(MfiLane *lane);
extern void mfi_item_leave_ready(MfiItem *item);	/* takes it out of its lane's list of what may leave */
extern void mfi_item_free(MfiItem *item);

/*
 * Below, now_ms is mfi_rate_now_ms(). What needs a transaction opens its own,
 * unless it says otherwise, and logs its errors; nothing raises.
 */

/* lane.c */
/* Takes over what changed of gateways, holds and arming; beside: what else is looked at in the same transaction. */
extern void mfi_lane_look(int64 now_ms, void (*beside) (int64 now_ms));
extern MfiLane *mfi_lane_find(const char *name);	/* NULL if there is none */
extern int	mfi_lane_width(const MfiLane *lane);	/* most requests in flight */
extern bool mfi_lane_has_room(const MfiLane *lane);
extern void mfi_lane_note_answer(MfiLane *lane, bool is_answered);
extern bool mfi_lane_may_send(const MfiLane *lane);
extern bool mfi_lane_is_available(MfiLane *lane, int64 now_ms); /* usable, and neither stopped nor pausing */
extern bool mfi_lane_keeps_here(const MfiLane *lane);	/* sandbox, dry run, or tables: nothing goes over a network */
/* Whether another gateway of the channel that has not tried the message may do so: now, or when its pause is over. */
extern bool mfi_lane_has_other(const MfiItem *item, int64 now_ms, bool is_now);
extern void mfi_lane_forget_cursors(MfiLane *lane); /* the next claim begins at the queue's head */
extern void mfi_lane_mark_strays(const char *channel);	/* its gateways look for what others left */

/* claim.c */
extern void mfi_claim_due(int64 now_ms);	/* items of what is due, leased, into the lanes that have room */
extern bool mfi_claim_is_wanted(int64 now_ms);

/* handover.c, both in the caller's transaction: their errors are raised */
extern void mfi_handover_run(List *items, MfiLane *lane);
extern void mfi_handover_poll(int64 now_ms);

/* record.c */
extern void mfi_record_decide(MfiItem *item, int64 now_ms);
extern void mfi_record_finished(void);	/* frees what it could record */
extern void mfi_record_put_back(MfiItem *item); /* among the finished, to be queued again */
extern void mfi_record_release_ready(void);

/* fetch.c */
extern void mfi_fetch_look(void);	/* in the caller's transaction: its errors are raised */
extern void mfi_fetch_start(int64 now_ms);	/* asks the gateways whose time it is */
extern void mfi_fetch_record(int64 now_ms);
extern bool mfi_fetch_is_idle(int64 now_ms);

/* send.c */
extern void mfi_send_ready(int64 now_ms);	/* sends what was claimed, as far as the gateways let it */
extern void mfi_send_collect(int64 now_ms);
extern void mfi_send_drop(int64 now_ms);
extern void mfi_send_item(MfiItem *item, int64 now_ms);
/* Finish an item: kept here as sent; failed, with an error that is copied and holds no personal data. The item is not the caller's any more. */
extern void mfi_send_keep(MfiItem *item, int64 now_ms);
extern void mfi_send_fail(MfiItem *item, MfiVerdict verdict, const char *error, int64 now_ms);
extern bool mfi_send_needs_token(const MfiLane *lane, int64 now_ms);	/* before anything of the lane can leave */
extern void mfi_send_token_request(MfiLane *lane, int64 now_ms);

#endif							/* MFI_DELIVERY_MACHINE_H */
