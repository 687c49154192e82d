/* What every function of the core returns: zero, or the one reason why nothing was done.
 *
 * The same names and numbers stand in deployers/protocol/status.py and go over the wire in a refusal; a test compares
 * the two files. A number is never given a second meaning. */
#ifndef EDGELOOP_STATUS_H
#define EDGELOOP_STATUS_H

typedef enum {
    STATUS_OK = 0,

    /* nn: the .tflite file and its arena */
    STATUS_NN_TRUNCATED = -100,      /* an offset points outside the file */
    STATUS_NN_NOT_TFLITE = -101,     /* no TFL3 identifier, another schema version */
    STATUS_NN_STRUCTURE = -102,      /* not one subgraph, no inputs, tensors used before they are made, ... */
    STATUS_NN_OPERATOR = -103,       /* an operator outside the support table */
    STATUS_NN_TYPE = -104,           /* a tensor type outside the support table, or types that do not go together */
    STATUS_NN_SHAPE = -105,          /* shapes that do not go together, or more dimensions than are supported */
    STATUS_NN_QUANTISATION = -106,   /* missing, non-finite or inconsistent scales and zero points */
    STATUS_NN_STATE = -107,          /* a state's output does not have the shape, type, scale of its input */
    STATUS_NN_OPTION = -108,         /* an operator's option (activation, axis, ...) outside the support table */
    STATUS_NN_TOO_LARGE = -109,      /* more tensors or operators than the tables hold */
    STATUS_NN_ARENA = -110,          /* the arena is smaller than stated, or not aligned to 8 bytes */

    /* wire: frames */
    STATUS_WIRE_MAGIC = -400,        /* bytes that begin no frame; they are skipped up to the next magic */
    STATUS_WIRE_HEADER = -401,       /* a header whose check does not match */
    STATUS_WIRE_LENGTH = -402,       /* a payload longer than the receiver takes */
    STATUS_WIRE_CRC = -403,          /* a frame whose CRC-32 does not match */
    STATUS_WIRE_TRUNCATED = -404,    /* not an error of the link: the frame is not complete yet */
    STATUS_WIRE_SPACE = -405,        /* the caller's buffer cannot take the frame or message */

    /* session: messages between hub and board */
    STATUS_SESSION_PROTOCOL = -500,  /* another protocol version */
    STATUS_SESSION_TYPE = -501,      /* a message type that does not exist, or not in this state of the session */
    STATUS_SESSION_FIELD = -502,     /* a message too short or too long for its type, or a value out of its range */
    STATUS_SESSION_PROOF = -503,     /* the other side does not hold the key */
    STATUS_SESSION_TAG = -504,       /* a frame whose tag does not match, or without a tag where one is due */
    STATUS_SESSION_REPLAY = -505,    /* a sequence that is not higher than the last one */
    STATUS_SESSION_TRANSFER = -506,  /* a chunk without a transfer, or not at the offset that is due */
    STATUS_SESSION_VERSION = -507,   /* confirm or revert names another model version than the one in test */
    STATUS_SESSION_NOT_PROVEN = -508, /* confirm before the model in test has made a forecast */
    STATUS_SESSION_ACKNOWLEDGE = -509, /* an acknowledgement of readings that were never sent */
    STATUS_RING_MEMORY = -510,       /* memory too small for a ring of two readings, or not aligned to 8 bytes */
    STATUS_RING_RANGE = -511,        /* a sequence outside what the ring keeps */
} status_t;

#endif
