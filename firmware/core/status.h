/* What every function of the core returns: zero, or the one reason why nothing was done.
 *
 * The same names and numbers stand in deployers/protocol/status.py and go over the wire in a refusal; a test compares
 * the two files. A number is never given a second meaning. */
#ifndef EDGELOOP_STATUS_H
#define EDGELOOP_STATUS_H

typedef enum {
    STATUS_OK = 0,

    /* nn: the .tflite file and its arena */
    STATUS_NN_TRUNCATED = -100,    /* an offset points outside the file */
    STATUS_NN_NOT_TFLITE = -101,   /* no TFL3 identifier, another schema version */
    STATUS_NN_STRUCTURE = -102,    /* not one subgraph, no inputs, tensors used before they are made, ... */
    STATUS_NN_OPERATOR = -103,     /* an operator outside the support table */
    STATUS_NN_TYPE = -104,         /* a tensor type outside the support table, or types that do not go together */
    STATUS_NN_SHAPE = -105,        /* shapes that do not go together, or more dimensions than are supported */
    STATUS_NN_QUANTISATION = -106, /* missing, non-finite or inconsistent scales and zero points */
    STATUS_NN_STATE = -107,        /* a state's output does not have the shape, type, scale of its input */
    STATUS_NN_OPTION = -108,       /* an operator's option (activation, axis, ...) outside the support table */
    STATUS_NN_TOO_LARGE = -109,    /* more tensors or operators than the tables hold */
    STATUS_NN_ARENA = -110,        /* the arena is smaller than stated, or not aligned to 8 bytes */

    /* image: a model image, before any of it is used */
    STATUS_IMAGE_TRUNCATED = -200,   /* shorter than a header, or not as long as its header says */
    STATUS_IMAGE_MAGIC = -201,       /* not a model image */
    STATUS_IMAGE_FORMAT = -202,      /* another format version or signature algorithm */
    STATUS_IMAGE_STRUCTURE = -203,   /* a part is not where it must be, or a byte that must be zero is not */
    STATUS_IMAGE_KEY = -204,         /* signed with a key that is not among the accepted ones */
    STATUS_IMAGE_SIGNATURE = -205,   /* the signature does not match: altered, or signed with another key */
    STATUS_IMAGE_TLV = -206,         /* a TLV outside its area, out of order, or with a value out of its range */
    STATUS_IMAGE_TLV_UNKNOWN = -207, /* a critical TLV that this firmware does not know */
    STATUS_IMAGE_TLV_MISSING = -208, /* a TLV that every image has is not there */
    STATUS_IMAGE_MODEL_HASH = -209,  /* the model is not the one whose SHA-256 the image names */
    STATUS_IMAGE_VERSION = -210,     /* older than the confirmed version */
    STATUS_IMAGE_FIRMWARE = -211,    /* needs newer firmware */
    STATUS_IMAGE_LIMIT = -212,       /* needs a larger arena or forecast buffer than there is */
    STATUS_IMAGE_TYPE = -213,        /* a model type that this firmware was built without */

    /* slot: the two slots on flash and their journal */
    STATUS_SLOT_GEOMETRY = -300,    /* the flash described cannot hold two slots and a journal */
    STATUS_SLOT_FLASH = -301,       /* the flash refused to erase or program, or reads back something else */
    STATUS_SLOT_EMPTY = -302,       /* no confirmed image to run */
    STATUS_SLOT_TOO_LARGE = -303,   /* an image larger than a slot, or of no bytes */
    STATUS_SLOT_IN_USE = -304,      /* the slot to install into holds the image that runs or is in test */
    STATUS_SLOT_NO_TRANSFER = -305, /* bytes or an end without a transfer that was begun */
    STATUS_SLOT_OFFSET = -306,      /* bytes that do not follow those received, or go beyond the end */
    STATUS_SLOT_INCOMPLETE = -307,  /* the end before the last byte */
    STATUS_SLOT_HASH = -308,        /* a sound image, but not the one that was announced */
    STATUS_SLOT_NO_TEST = -309,     /* confirm or revert without an image in test */

    /* wire: frames */
    STATUS_WIRE_MAGIC = -400,     /* bytes that begin no frame; they are skipped up to the next magic */
    STATUS_WIRE_HEADER = -401,    /* a header whose check does not match */
    STATUS_WIRE_LENGTH = -402,    /* a payload longer than the receiver takes */
    STATUS_WIRE_CRC = -403,       /* a frame whose CRC-32 does not match */
    STATUS_WIRE_TRUNCATED = -404, /* not an error of the link: the frame is not complete yet */
    STATUS_WIRE_SPACE = -405,     /* the caller's buffer cannot take the frame or message */

    /* session: messages between hub and board */
    STATUS_SESSION_PROTOCOL = -500,    /* another protocol version */
    STATUS_SESSION_TYPE = -501,        /* a message type that does not exist, or not in this state of the session */
    STATUS_SESSION_FIELD = -502,       /* a message too short or too long for its type, or a value out of its range */
    STATUS_SESSION_PROOF = -503,       /* the other side does not hold the key */
    STATUS_SESSION_TAG = -504,         /* a frame whose tag does not match, or without a tag where one is due */
    STATUS_SESSION_REPLAY = -505,      /* a sequence that is not higher than the last one */
    STATUS_SESSION_VERSION = -507,     /* confirm or revert names another model version than the one in test */
    STATUS_SESSION_NOT_PROVEN = -508,  /* confirm before the model in test has made a forecast */
    STATUS_SESSION_ACKNOWLEDGE = -509, /* an acknowledgement of readings that were never sent */
    STATUS_RING_MEMORY = -510,         /* memory too small for a ring of two readings, or of 4 GB and more */
    STATUS_RING_RANGE = -511,          /* a sequence outside what the ring keeps */

    /* features: the feature program */
    STATUS_FEATURES_LENGTH = -600,    /* shorter than a header, or not as long as its count says */
    STATUS_FEATURES_COUNT = -601,     /* no feature, or more than 64 */
    STATUS_FEATURES_CADENCE = -602,   /* a cadence outside 1 s to a day */
    STATUS_FEATURES_HORIZON = -603,   /* a horizon outside 1 to 288 steps */
    STATUS_FEATURES_TOLERANCE = -604, /* a tolerance outside a quarter to half of the cadence */
    STATUS_FEATURES_SCALE = -605,     /* a scale outside 1e-6 to 1e6, or not a number */
    STATUS_FEATURES_RESERVED = -606,  /* a byte that must be zero is not */
    STATUS_FEATURES_OPERATION = -607, /* an operation that does not exist */
    STATUS_FEATURES_FUNCTION = -608,  /* a function that does not exist, or does not go with its operation */
    STATUS_FEATURES_ARGUMENT = -609,  /* a lag, window or harmonic outside its range */
    STATUS_FEATURES_MEMORY = -610,    /* the buffer is smaller than stated, or not aligned to 8 bytes */

    /* forecast: readings in, forecasts out */
    STATUS_FORECAST_MODEL = -620, /* the model has other inputs or outputs than the feature program */
    STATUS_FORECAST_TIME = -621,  /* a reading from before 1970 or after 9999 */
    STATUS_FORECAST_NUMBER = -622, /* a forecast that is no finite number */

    /* golden: readings and the forecasts that must come of them */
    STATUS_GOLDEN_LENGTH = -640,   /* not as long as its counts say */
    STATUS_GOLDEN_FIELD = -641,    /* a count of zero, a time or number out of its range, times out of order */
    STATUS_GOLDEN_MISMATCH = -642, /* a forecast beyond the tolerance, or not made at all */
} status_t;

#endif
