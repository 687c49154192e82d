/* What this firmware is and what it has for a model. */
#ifndef EDGELOOP_LIMITS_H
#define EDGELOOP_LIMITS_H

#define FIRMWARE_VERSION 0x000100u /* 0.1.0: major << 16 | minor << 8 | patch */

enum {
    MODEL_ARENA_BYTES = 16384,
    MODEL_BUFFER_BYTES = 8192,
    MODEL_REPLAY_READINGS = 512, /* that rebuild the state, beyond those that the feature program reaches back to:
                                   * several days, more than a state remembers */
    MODEL_CLOCK_BACK_MS = 60000, /* a clock that is set back by less is only corrected */
    MODEL_STRAY_READINGS = 2     /* in a row without a place on the grid: it lies elsewhere now */
};

#endif
