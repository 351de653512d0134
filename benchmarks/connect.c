/* A generator of connections: connect, one message, its reply, close.
 *
 *   connect PORT PARALLEL SECONDS
 *
 * Compiled with -DTLS (and -lssl -lcrypto) each connection makes a full handshake of TLS 1.3 first,
 * and trusts everybody.
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
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *context;
#endif

struct client {
    int fd, said;
#ifdef TLS
    SSL *tls;
#endif
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
    c->said = 0;
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

static void await(struct client *c, int event) {
    struct epoll_event e = {.events = event, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

/* One step of a conversation whose socket is ready; whether it is over. */
static int step(struct client *c) {
    char reply[64];
#ifdef TLS
    int n;
    if (!c->tls) {
        c->tls = SSL_new(context);
        SSL_set_fd(c->tls, c->fd);
    }
    if (!c->said) {
        if ((n = SSL_connect(c->tls)) == 1) {
            n = SSL_write(c->tls, "hola\n", 5);
            c->said = n == 5;
        }
    } else if ((n = SSL_read(c->tls, reply, sizeof reply)) > 0) {
        if (n != 5) { fprintf(stderr, "a reply of %d bytes\n", n); exit(1); }
        SSL_free(c->tls);
        c->tls = NULL;
        return 1;
    }
    if (n <= 0) {
        int error = SSL_get_error(c->tls, n);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            ERR_print_errors_fp(stderr);
            exit(1);
        }
    }
    await(c, EPOLLIN);
    return 0;
#else
    if (!c->said) {
        if (send(c->fd, "hola\n", 5, MSG_NOSIGNAL) != 5) { perror("send"); exit(1); }
        c->said = 1;
        await(c, EPOLLIN);
        return 0;
    }
    if (recv(c->fd, reply, sizeof reply, 0) != 5) { perror("recv"); exit(1); }
    return 1;
#endif
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
#ifdef TLS
    context = SSL_CTX_new(TLS_client_method());
#endif
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
            if (!step(c)) continue;
            if (counting && count < room) latencies[count++] = now_ns() - c->began;
            close(c->fd);
            begin(c);
        }
    }
    puts("done");
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"connections\": %zu, \"seconds\": %.6f, ", count, (now - counted) / 1e9);
    if (count) /* else there is nothing to be told of */
        printf("\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n", latencies[count / 2] / 1e3,
               latencies[count * 99 / 100] / 1e3, latencies[count - 1] / 1e3);
    else
        puts("\"p50\": null, \"p99\": null, \"max\": null}");
    return 0;
}
