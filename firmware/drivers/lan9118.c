#include "lan9118.h"

#include <string.h>

enum {
    RX_DATA = 0x00,
    TX_DATA = 0x20,
    RX_STATUS = 0x40,
    TX_STATUS = 0x48,
    INT_EN = 0x5C,
    BYTE_TEST = 0x64,
    RX_CFG = 0x6C,
    TX_CFG = 0x70,
    HW_CFG = 0x74,
    RX_FIFO_INF = 0x7C,
    TX_FIFO_INF = 0x80,
    MAC_CSR_CMD = 0xA4,
    MAC_CSR_DATA = 0xA8
};
enum { MAC_CR = 1, MAC_ADDRH = 2, MAC_ADDRL = 3 };

#define BYTE_TEST_VALUE 0x87654321u
#define HW_CFG_RESET 1u
#define HW_CFG_MUST_BE_ONE (1u << 20)
#define HW_CFG_TX_FIFO_5_KB (5u << 16)
#define TX_CFG_ON 2u
#define CSR_BUSY (1u << 31)
#define MAC_CR_FULL_DUPLEX (1u << 20)
#define MAC_CR_TRANSMIT (1u << 3)
#define MAC_CR_RECEIVE (1u << 2)
#define TX_FIRST_AND_LAST (3u << 12)
#define RX_STATUS_ERROR (1u << 15)
#define CHECK_SEQUENCE_BYTES 4u
/* The controller needs a few reads at most; more means that it is not there. */
#define PATIENCE 10000

static volatile uint32_t *at(const lan9118 *device, uint32_t offset)
{
    return (volatile uint32_t *)(device->base + offset);
}

static void write_mac(const lan9118 *device, uint32_t index, uint32_t value)
{
    *at(device, MAC_CSR_DATA) = value;
    *at(device, MAC_CSR_CMD) = CSR_BUSY | index;
    for (int i = 0; i < PATIENCE && (*at(device, MAC_CSR_CMD) & CSR_BUSY) != 0; i++) {
    }
}

int lan9118_start(lan9118 *device, uintptr_t base, const uint8_t mac[6])
{
    int patience = PATIENCE;

    device->base = base;
    if (*at(device, BYTE_TEST) != BYTE_TEST_VALUE) {
        return -1;
    }
    *at(device, HW_CFG) = HW_CFG_RESET;
    while ((*at(device, HW_CFG) & HW_CFG_RESET) != 0) {
        if (--patience == 0) {
            return -1;
        }
    }
    *at(device, HW_CFG) = HW_CFG_MUST_BE_ONE | HW_CFG_TX_FIFO_5_KB;
    *at(device, INT_EN) = 0;
    *at(device, RX_CFG) = 0;
    write_mac(device, MAC_ADDRH, (uint32_t)mac[5] << 8 | mac[4]);
    write_mac(device, MAC_ADDRL,
              (uint32_t)mac[3] << 24 | (uint32_t)mac[2] << 16 | (uint32_t)mac[1] << 8 | (uint32_t)mac[0]);
    write_mac(device, MAC_CR, MAC_CR_FULL_DUPLEX | MAC_CR_TRANSMIT | MAC_CR_RECEIVE);
    *at(device, TX_CFG) = TX_CFG_ON;
    return 0;
}

int lan9118_send(const lan9118 *device, const uint8_t *frame, size_t bytes)
{
    uint32_t words = (uint32_t)(bytes + 3) / 4;
    uint32_t word;

    while ((*at(device, TX_FIFO_INF) >> 16 & 0xFFu) != 0) {
        (void)*at(device, TX_STATUS); /* when these pile up, nothing more is sent */
    }
    if ((*at(device, TX_FIFO_INF) & 0xFFFFu) < 4 * (words + 2)) {
        return -1;
    }
    *at(device, TX_DATA) = TX_FIRST_AND_LAST | (uint32_t)bytes;
    *at(device, TX_DATA) = (uint32_t)bytes;
    for (uint32_t i = 0; i < words; i++) {
        size_t left = bytes - 4u * i;

        word = 0;
        memcpy(&word, frame + 4u * i, left < 4 ? left : 4);
        *at(device, TX_DATA) = word;
    }
    return 0;
}

size_t lan9118_receive(const lan9118 *device, uint8_t *frame, size_t space)
{
    while ((*at(device, RX_FIFO_INF) >> 16 & 0xFFu) != 0) {
        uint32_t status = *at(device, RX_STATUS);
        size_t bytes = status >> 16 & 0x3FFFu;
        int wanted =
            (status & RX_STATUS_ERROR) == 0 && bytes > CHECK_SEQUENCE_BYTES && bytes - CHECK_SEQUENCE_BYTES <= space;
        size_t keep = wanted ? bytes - CHECK_SEQUENCE_BYTES : 0;

        for (size_t done = 0; done < bytes; done += 4) {
            uint32_t word = *at(device, RX_DATA);

            if (done < keep) {
                memcpy(frame + done, &word, keep - done < 4 ? keep - done : 4);
            }
        }
        if (wanted) {
            return keep;
        }
    }
    return 0;
}
