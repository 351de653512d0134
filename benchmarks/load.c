/* A closed-loop load generator: faster than any server it measures.
 *
 *   load PORT|/UNIX/PATH CONNECTIONS DEPTH SECONDS MESSAGE-FILE REPLY-FILE [IDLE [FIRST-FILE]]
 *
 * Compiled with -DTLS (and -lssl -lcrypto) it talks over TLS 1.3, and trusts everybody. What is in
 * FIRST-FILE (a PROXY header) is sent first on each connection, before TLS.
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
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *context;
#endif

struct client {
    int fd;
#ifdef TLS
    SSL *tls;
#endif
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

static char *first;
static size_t first_size;

static struct client connected(const char *where) {
    struct client c = {0};
    if (*where == '/') {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strncpy(to.sun_path, where, sizeof to.sun_path - 1);
        c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c.fd < 0 || connect(c.fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
    } else {
        int on = 1;
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(where))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c.fd < 0 || connect(c.fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (first && send(c.fd, first, first_size, MSG_NOSIGNAL) != (ssize_t)first_size) die("send");
#ifdef TLS
    c.tls = SSL_new(context);
    SSL_set_fd(c.tls, c.fd);
    if (SSL_connect(c.tls) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
#endif
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    return c;
}

/* Like send(2) and recv(2). */
static ssize_t say(struct client *c, const char *data, size_t size) {
#ifdef TLS
    int n = SSL_write(c->tls, data, size);
    if (n <= 0 && SSL_get_error(c->tls, n) == SSL_ERROR_WANT_WRITE) errno = EAGAIN;
    return n <= 0 ? -1 : n;
#else
    return send(c->fd, data, size, MSG_NOSIGNAL);
#endif
}

static ssize_t hear(struct client *c, char *data, size_t size) {
#ifdef TLS
    int n = SSL_read(c->tls, data, size), error = n > 0 ? 0 : SSL_get_error(c->tls, n);
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    if (error == SSL_ERROR_WANT_READ) errno = EAGAIN;
    return n <= 0 ? -1 : n;
#else
    return recv(c->fd, data, size, 0);
#endif
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Send what the socket takes; whether all of this round's request is out. */
static int push(struct client *c) {
    while (c->sent < request_size) {
        ssize_t n = say(c, request + c->sent, request_size - c->sent);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n < 0) die("send");
        c->sent += n;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    const char *where = argv[1];
    int connections = atoi(argv[2]), depth = atoi(argv[3]);
    double seconds = atof(argv[4]);
    int idle = argc > 7 ? atoi(argv[7]) : 0;
    request = repeated(argv[5], depth, &request_size);
    reply = repeated(argv[6], depth, &reply_size);
    message_count = depth;
    if (argc > 8) first = repeated(argv[8], 1, &first_size);
#ifdef TLS
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#endif
    buffer = malloc(BUFFER);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int poller = epoll_create1(0);
    struct client *clients = calloc(connections, sizeof *clients);
    for (int i = 0; i < idle; i++) connected(where);
    for (int i = 0; i < connections; i++) {
        clients[i] = connected(where);
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
                ssize_t n = hear(c, buffer, BUFFER);
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
    printf("{\"messages\": %zu, \"seconds\": %.6f, ", rounds * message_count, elapsed);
    if (rounds) /* else there is nothing to be told of */
        printf("\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n", latencies[rounds / 2] / 1e3,
               latencies[rounds * 99 / 100] / 1e3, latencies[rounds - 1] / 1e3);
    else
        puts("\"p50\": null, \"p99\": null, \"max\": null}");
    fflush(stdout);
    return 0;
}
