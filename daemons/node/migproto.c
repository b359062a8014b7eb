/* migproto - see migproto.h.  One function a state; what is common to all
 * states before the point of no return stands in the two '_early' ones. */
#include "node/migproto.h"

/* --- source ------------------------------------------------------------------
 */
const char *mig_src_state_name(enum src_state s)
{
#define S(id, text) [SRC_##id] = text,
    static const char *const names[] = { SRC_STATES(S) };
#undef S
    return s < SRC_N_STATES ? names[s] : "unknown";
}

static unsigned drop_link(struct mig_src *m, unsigned last)
{
    if (!m->link)
        return 0;
    m->link = false;
    return last | SRC_A_CLOSE;
}

/* The next action on the way back to a guest that runs here: the engine ends,
 * then the disks go on, then the guest. */
static unsigned go_on(struct mig_src *m)
{
    m->state = SRC_ABORTING;
    if (m->engine)
        return 0; /* Its end is awaited. */
    if (m->handing && !m->thawed)
        return SRC_A_THAW;
    if (m->stopped && !m->gone)
        return SRC_A_RESUME;
    m->state = SRC_RESUMED;
    return SRC_A_WRITE_RESUMED | SRC_A_REPORT_RESUMED;
}

static unsigned src_abort(struct mig_src *m)
{
    unsigned a = drop_link(m, SRC_A_SEND_ABORT);
    if (m->engine)
        a |= SRC_A_ABORT_ENGINE;
    return a | go_on(m);
}

/* After "given" was written: the disk must say otherwise before we run. */
static unsigned take_back(struct mig_src *m)
{
    m->state = SRC_TAKING_BACK;
    return drop_link(m, 0) | SRC_A_WRITE_SENDING;
}

static unsigned src_release(struct mig_src *m)
{
    m->state = SRC_RELEASING;
    return drop_link(m, 0) | SRC_A_WRITE_RELEASING |
           (m->gone ? SRC_A_RELEASE : SRC_A_DESTROY);
}

static unsigned maybe_end(struct mig_src *m)
{
    if (!m->complete || !m->handed)
        return 0;
    m->state = SRC_WAIT_READY;
    return SRC_A_SEND_END;
}

static unsigned src_early(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_LINK_UP:
        m->link = true;
        return m->state == SRC_CONNECTING ? SRC_A_SEND_HELLO : 0;
    case SRC_E_WELCOME:
        if (m->state != SRC_CONNECTING)
            return src_abort(m);
        m->state = SRC_STREAMING;
        m->engine = true;
        return SRC_A_START_ENGINE;
    case SRC_E_ENGINE_STOPPED:
        m->stopped = m->handing = true;
        return SRC_A_SEND_STOPPED | SRC_A_HANDOVER;
    case SRC_E_HANDED_OVER:
        m->handed = true;
        return SRC_A_SEND_HANDED_OVER | maybe_end(m);
    case SRC_E_ENGINE_DONE:
        m->engine = false;
        m->complete = m->stopped = true;
        return maybe_end(m);
    case SRC_E_ENGINE_FAILED:
        m->engine = m->stopped = false;
        return src_abort(m);
    case SRC_E_GUEST_GONE:
        m->engine = false;
        m->gone = true;
        return src_abort(m);
    case SRC_E_LINK_LOST:
        m->link = false;
        return src_abort(m) | SRC_A_CLOSE;
    case SRC_E_READY:
        if (m->state != SRC_WAIT_READY)
            return src_abort(m);
        m->state = SRC_GIVING;
        return SRC_A_WRITE_GIVEN;
    case SRC_E_RUNNING:
    case SRC_E_HANDOVER_FAILED:
    case SRC_E_ABORT:
    case SRC_E_GIVE_UP:
    case SRC_E_RESOLVE_RESUME:
        return src_abort(m);
    default:
        return 0;
    }
}

/* READY came; the write of "given" is under way. */
static unsigned src_giving(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_WRITTEN:
        m->state = m->link ? SRC_GIVEN : SRC_UNCERTAIN;
        return m->link ? SRC_A_SEND_COMMIT : SRC_A_REPORT_UNCERTAIN;
    case SRC_E_WRITE_FAILED: /* COMMIT was not sent: still ours. */
        return take_back(m);
    case SRC_E_LINK_LOST:
        m->link = false;
        return SRC_A_CLOSE;
    case SRC_E_GUEST_GONE:
        m->gone = true;
        return 0;
    default:
        return 0;
    }
}

static unsigned src_given(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_RUNNING:
        return m->link ? src_release(m) : 0;
    case SRC_E_ABORT:
        return m->link ? take_back(m) : 0;
    case SRC_E_RESOLVE_RELEASE:
        return src_release(m);
    case SRC_E_RESOLVE_RESUME:
        return take_back(m);
    case SRC_E_GUEST_GONE:
        m->gone = true;
        return 0;
    case SRC_E_LINK_LOST:
        m->link = false;
        if (m->state == SRC_UNCERTAIN)
            return 0;
        m->state = SRC_UNCERTAIN;
        return SRC_A_CLOSE | SRC_A_REPORT_UNCERTAIN;
    default:
        return 0;
    }
}

static unsigned src_taking_back(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_WRITTEN:
        return go_on(m);
    case SRC_E_WRITE_FAILED: /* Asked again by the next resolve. */
        m->state = SRC_UNCERTAIN;
        return SRC_A_REPORT_UNCERTAIN;
    case SRC_E_GUEST_GONE:
        m->gone = true;
        return 0;
    default:
        return 0;
    }
}

static unsigned src_aborting(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_ENGINE_STOPPED: /* On its way to the end. */
        m->stopped = true;
        return 0;
    case SRC_E_ENGINE_DONE:
        m->engine = false;
        m->stopped = true;
        return go_on(m);
    case SRC_E_ENGINE_FAILED:
        m->engine = m->stopped = false;
        return go_on(m);
    case SRC_E_THAWED:
        if (!m->handing || m->thawed)
            return 0;
        m->thawed = true;
        return go_on(m);
    case SRC_E_GUEST_RESUMED:
        m->stopped = false;
        return go_on(m);
    case SRC_E_GUEST_GONE:
        m->engine = false;
        m->gone = true;
        return go_on(m);
    default:
        return 0;
    }
}

static unsigned src_releasing(struct mig_src *m, enum src_event e)
{
    switch (e) {
    case SRC_E_GUEST_GONE:
        m->gone = true;
        return SRC_A_RELEASE;
    case SRC_E_VOLUMES_RELEASED:
        m->state = SRC_RELEASED;
        return SRC_A_WRITE_RELEASED | SRC_A_REPORT_RELEASED;
    default:
        return 0;
    }
}

unsigned mig_src_step(struct mig_src *m, enum src_event e)
{
    switch (m->state) {
    case SRC_CONNECTING:
    case SRC_STREAMING:
    case SRC_WAIT_READY:
        return src_early(m, e);
    case SRC_GIVING:
        return src_giving(m, e);
    case SRC_GIVEN:
    case SRC_UNCERTAIN:
        return src_given(m, e);
    case SRC_TAKING_BACK:
        return src_taking_back(m, e);
    case SRC_ABORTING:
        return src_aborting(m, e);
    case SRC_RELEASING:
        return src_releasing(m, e);
    default:
        return 0;
    }
}

unsigned mig_src_restart(struct mig_src *m, bool given)
{
    /* What was begun is not known any more: assume all of it. */
    *m = (struct mig_src){ .stopped = true, .handing = true };
    if (!given)
        return go_on(m);
    m->state = SRC_UNCERTAIN;
    return SRC_A_REPORT_UNCERTAIN;
}

/* --- destination ---------------------------------------------------------- */
const char *mig_dst_state_name(enum dst_state s)
{
#define S(id, text) [DST_##id] = text,
    static const char *const names[] = { DST_STATES(S) };
#undef S
    return s < DST_N_STATES ? names[s] : "unknown";
}

static unsigned cancelled(struct mig_dst *m)
{
    unsigned a = m->link ? DST_A_SEND_ABORT | DST_A_CLOSE : 0;
    m->link = false;
    m->state = DST_CANCELLED;
    return a | DST_A_CLEANUP;
}

/* Promises are given only after the write. */
static unsigned dst_cancel(struct mig_dst *m)
{
    m->state = DST_CANCELLING;
    return DST_A_WRITE_CANCELLED;
}

static unsigned maybe_ready(struct mig_dst *m)
{
    if (!m->complete || !m->handed || !m->end || !m->link)
        return 0;
    m->state = DST_READY;
    return DST_A_SEND_READY;
}

static unsigned dst_early(struct mig_dst *m, enum dst_event e)
{
    switch (e) {
    case DST_E_HELLO:
        if (m->state != DST_PREPARED)
            return dst_cancel(m);
        m->state = DST_RECEIVING;
        m->link = true;
        return DST_A_SEND_WELCOME;
    case DST_E_STOPPED:
        return 0;
    case DST_E_HANDED_OVER:
        m->handed = true;
        return maybe_ready(m);
    case DST_E_END:
        m->end = true;
        return maybe_ready(m);
    case DST_E_ENGINE_DONE:
        m->complete = true;
        return maybe_ready(m);
    case DST_E_LINK_LOST:
        if (!m->link)
            return 0;
        m->link = false;
        return dst_cancel(m) | DST_A_CLOSE;
    case DST_E_COMMIT: /* Before READY: a broken peer. */
    case DST_E_ABORT:
    case DST_E_ENGINE_FAILED:
    case DST_E_GUEST_GONE:
    case DST_E_TIMEOUT:
    case DST_E_CANCEL:
        return dst_cancel(m);
    default:
        return 0;
    }
}

static unsigned dst_ready(struct mig_dst *m, enum dst_event e)
{
    switch (e) {
    case DST_E_COMMIT:
        if (!m->link)
            return 0;
        m->state = DST_TAKING;
        return DST_A_WRITE_MINE;
    case DST_E_LINK_LOST:
        m->link = false;
        return dst_cancel(m) | DST_A_CLOSE;
    case DST_E_ABORT:
    case DST_E_GUEST_GONE:
    case DST_E_CANCEL:
        return dst_cancel(m);
    default:
        return 0;
    }
}

unsigned mig_dst_step(struct mig_dst *m, enum dst_event e)
{
    switch (m->state) {
    case DST_PREPARED:
    case DST_RECEIVING:
        return dst_early(m, e);
    case DST_READY:
        return dst_ready(m, e);
    case DST_TAKING:
        if (e == DST_E_WRITTEN) {
            m->state = DST_ACTIVATING;
            return DST_A_ACTIVATE;
        }
        if (e == DST_E_WRITE_FAILED) {
            /* It may be on the disk all the same: no promise, no run. */
            m->state = DST_READY;
            m->link = false;
            return DST_A_CLOSE;
        }
        if (e == DST_E_LINK_LOST)
            m->link = false;
        return 0;
    case DST_CANCELLING:
        if (e == DST_E_WRITTEN)
            return cancelled(m);
        if (e == DST_E_WRITE_FAILED) {
            m->state = DST_READY;
            m->link = false;
            return DST_A_CLOSE;
        }
        if (e == DST_E_LINK_LOST)
            m->link = false;
        return 0;
    case DST_ACTIVATING:
    case DST_RESUMING:
        if (e == DST_E_LINK_LOST)
            m->link = false;
        if (e == DST_E_ACTIVATED && m->state == DST_ACTIVATING) {
            m->state = DST_RESUMING;
            return DST_A_RESUME;
        }
        if (e == DST_E_RESUMED || e == DST_E_GUEST_GONE) {
            unsigned a = m->link ? DST_A_SEND_RUNNING | DST_A_CLOSE : 0;
            m->state = DST_RUNNING;
            m->link = false;
            return a | (e == DST_E_RESUMED ? DST_A_REPORT_RUNNING
                                           : DST_A_REPORT_STOPPED);
        }
        return 0;
    default:
        return 0;
    }
}

unsigned mig_dst_restart_mine(struct mig_dst *m)
{
    *m = (struct mig_dst){
        .state = DST_ACTIVATING, .complete = true, .handed = true, .end = true
    };
    return DST_A_ACTIVATE;
}
