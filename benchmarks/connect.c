/* A generator of connections: connect, one message, its reply, close.
 *
 *   connect PORT PARALLEL SECONDS
 *
 * PARALLEL clients do so at the same time, again and again, from many loopback addresses
 * (127.1.x.y), so that closed connections in TIME_WAIT do not use up the ports. Prints "warm"
 * and "done" around the counted time as load.c does, then one JSON object: connections,
 * seconds, and the time from connect to reply in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    int64_t began;
};

static int port, poller;
static unsigned next_source;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void begin(struct client *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    from.sin_addr.s_addr = htonl(0x7f010001 + next_source++ % 4000);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    c->began = now_ns();
    if (bind(c->fd, (void *)&from, sizeof from)) { perror("bind"); exit(1); }
    if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) { perror("connect"); exit(1); }
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    port = atoi(argv[1]);
    int parallel = atoi(argv[2]), counting = 0;
    double seconds = atof(argv[3]);
    poller = epoll_create1(0);
    struct client *clients = calloc(parallel, sizeof *clients);
    for (int i = 0; i < parallel; i++) begin(&clients[i]);
    size_t room = 1 << 20, count = 0;
    int64_t *latencies = malloc(room * sizeof *latencies), now = now_ns(), counted = 0;
    int64_t warm = now + (int64_t)(seconds * 2e8), end = warm + (int64_t)(seconds * 1e9);
    struct epoll_event events[256];
    while (now < end) {
        int ready = epoll_wait(poller, events, 256, 100);
        now = now_ns();
        if (!counting && now >= warm) {
            counting = 1;
            counted = now;
            puts("warm");
            fflush(stdout);
        }
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            char reply[64];
            if (events[i].events & EPOLLOUT) {
                if (send(c->fd, "hola\n", 5, MSG_NOSIGNAL) != 5) { perror("send"); return 1; }
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
                continue;
            }
            if (recv(c->fd, reply, sizeof reply, 0) != 5) { perror("recv"); return 1; }
            if (counting && count < room) latencies[count++] = now_ns() - c->began;
            close(c->fd);
            begin(c);
        }
    }
    puts("done");
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"connections\": %zu, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n", count,
           (now - counted) / 1e9, count ? latencies[count / 2] / 1e3 : 0,
           count ? latencies[count * 99 / 100] / 1e3 : 0, count ? latencies[count - 1] / 1e3 : 0);
    return 0;
}
