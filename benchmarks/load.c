/* A closed-loop load generator: faster than any server it measures.
 *
 *   load HOST-PORT CONNECTIONS DEPTH SECONDS MESSAGE-FILE REPLY-FILE [IDLE]
 *
 * Each connection sends DEPTH messages in one write, waits until every byte of the DEPTH
 * replies is there, and begins again. What comes back is compared with REPLY-FILE. IDLE more
 * connections are opened first and stay silent.
 *
 * Prints one JSON object: messages answered, seconds, and the latency of a round trip
 * (all DEPTH messages) in microseconds. The first 0.3 s are warm-up: a line "warm"
 * says that it is over and the counting begins, so that whoever reads the server's CPU time
 * reads it at the same moment; a line "done" says that the counting has ended.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    size_t sent, received; /* of this round */
    int64_t began;
};

static char *request, *reply, *buffer;
static size_t request_size, reply_size, message_count;
#define BUFFER (1 << 20)

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static char *repeated(const char *path, int times, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    size_t one = ftell(file);
    rewind(file);
    char *data = malloc(one * times + 1);
    if (fread(data, 1, one, file) != one) die(path);
    fclose(file);
    for (int i = 1; i < times; i++) memcpy(data + i * one, data, one);
    *size = one * times;
    return data;
}

static int connected(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Send what the socket takes; whether all of this round's request is out. */
static int push(struct client *c) {
    while (c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n < 0) die("send");
        c->sent += n;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    int port = atoi(argv[1]), connections = atoi(argv[2]), depth = atoi(argv[3]);
    double seconds = atof(argv[4]);
    int idle = argc > 7 ? atoi(argv[7]) : 0;
    request = repeated(argv[5], depth, &request_size);
    reply = repeated(argv[6], depth, &reply_size);
    message_count = depth;
    buffer = malloc(BUFFER);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int poller = epoll_create1(0);
    struct client *clients = calloc(connections, sizeof *clients);
    for (int i = 0; i < idle; i++) connected(port);
    for (int i = 0; i < connections; i++) {
        clients[i].fd = connected(port);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &clients[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].fd, &e);
    }
    size_t room = 1 << 20, rounds = 0;
    int64_t *latencies = malloc(room * sizeof *latencies);
    int64_t start = now_ns(), warm = start + 300000000LL, end = warm + (int64_t)(seconds * 1e9);
    int counting = 0;
    struct epoll_event events[1024];
    for (int i = 0; i < connections; i++) {
        clients[i].began = now_ns();
        push(&clients[i]);
    }
    int64_t now = start, began_counting = 0;
    while (now < end) {
        int ready = epoll_wait(poller, events, 1024, 100);
        now = now_ns();
        if (!counting && now >= warm) {
            counting = 1;
            rounds = 0;
            began_counting = now;
            puts("warm");
            fflush(stdout);
        }
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            push(c);
            for (;;) {
                ssize_t n = recv(c->fd, buffer, BUFFER, 0);
                if (n < 0 && errno == EAGAIN) break;
                if (n < 0) die("recv");
                if (n == 0) { fprintf(stderr, "the server closed\n"); return 1; }
                if (c->received + n > reply_size || memcmp(buffer, reply + c->received, n)) {
                    fprintf(stderr, "wrong reply\n");
                    return 1;
                }
                c->received += n;
                if (c->received == reply_size) {
                    int64_t t = now_ns();
                    if (counting) {
                        if (rounds == room) latencies = realloc(latencies, (room *= 2) * sizeof *latencies);
                        latencies[rounds++] = t - c->began;
                    }
                    c->began = t;
                    c->sent = c->received = 0;
                    push(c);
                }
            }
        }
    }
    double elapsed = (now - began_counting) / 1e9;
    puts("done");
    qsort(latencies, rounds, sizeof *latencies, by_value);
    printf("{\"messages\": %zu, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
           rounds * message_count, elapsed, rounds ? latencies[rounds / 2] / 1e3 : 0,
           rounds ? latencies[rounds * 99 / 100] / 1e3 : 0, rounds ? latencies[rounds - 1] / 1e3 : 0);
    fflush(stdout);
    return 0;
}
