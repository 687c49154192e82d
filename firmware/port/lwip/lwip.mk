# The part of lwIP for IPv4 and one TCP connection without an operating system, below its src/.
LWIP_SOURCES := core/def core/inet_chksum core/init core/ip core/mem core/memp core/netif core/pbuf core/tcp core/tcp_in \
	core/tcp_out core/timeouts core/ipv4/etharp core/ipv4/icmp core/ipv4/ip4 core/ipv4/ip4_addr netif/ethernet
