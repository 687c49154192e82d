/* What this firmware is and what it has for a model. */
#ifndef EDGELOOP_LIMITS_H
#define EDGELOOP_LIMITS_H

#define FIRMWARE_VERSION 0x000100u /* 0.1.0: major << 16 | minor << 8 | patch */

enum {
    MODEL_ARENA_BYTES = 16384,
    MODEL_BUFFER_BYTES = 8192,
    MODEL_REPLAY_MAX = 512 /* readings that rebuild the state: several days, more than a state remembers */
};

#endif
