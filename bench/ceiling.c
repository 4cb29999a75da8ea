/* The least that a server of echo_server.py can do: the system calls, and OpenSSL's for TLS, one
 * thread, no memory of its own for a connection but the descriptor. What it reaches is what the
 * kernel and the client leave to be reached.
 *
 * Usage: ceiling MODE CERTIFICATE RESPONSE, on the core that it is started on; prints its port. MODE
 * and RESPONSE are those of echo_server.py, CERTIFICATE is a PEM file with the key. Ends with a
 * message where a system call fails that cannot; a client that goes away is none.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { BACKLOG = 2048, EVENTS = 1024, SIZE = 4096, DESCRIPTORS = 1 << 16 };

static const char *response;
static size_t response_size;
static int poller;

static void watch(int fd)
{
    struct epoll_event event = {EPOLLIN | EPOLLET, {.fd = fd}};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "epoll_ctl");
}

/* Each serves what has come. 1: the connection is over; 0: there will be more. */
typedef int serve(int fd);

static int answer(int fd)
{
    char request[SIZE];
    ssize_t got = recv(fd, request, sizeof request, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    return got <= 0 || send(fd, response, response_size, MSG_NOSIGNAL) < 0;
}

static int answer_once(int fd)
{
    char request[SIZE];
    ssize_t got = recv(fd, request, sizeof request, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got > 0)
        send(fd, response, response_size, MSG_NOSIGNAL); /* it closes, whatever comes of it */
    return 1;
}

#ifdef WITH_TLS
static SSL_CTX *context;
static SSL *sessions[DESCRIPTORS]; /* by descriptor */

static void start_tls(const char *certificate)
{
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, certificate, SSL_FILETYPE_PEM) != 1)
        errx(1, "%s: no certificate", certificate);
    SSL_CTX_set_read_ahead(context, 1); /* a system call for a record, not two */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

static int end_tls(int fd)
{
    SSL_free(sessions[fd]);
    sessions[fd] = NULL;
    return 1;
}

static int answer_tls(int fd)
{
    if (fd >= DESCRIPTORS)
        errx(1, "too many descriptors");
    SSL *session = sessions[fd];
    if (!session) {
        if (!(session = sessions[fd] = SSL_new(context)) || SSL_set_fd(session, fd) != 1)
            errx(1, "SSL_new");
        SSL_set_accept_state(session);
    }
    ERR_clear_error();
    char request[SIZE];
    int got;
    while ((got = SSL_read(session, request, sizeof request)) > 0)
        if (SSL_write(session, response, (int)response_size) <= 0)
            return end_tls(fd);
    return SSL_get_error(session, got) == SSL_ERROR_WANT_READ ? 0 : end_tls(fd);
}
#endif

static int listen_here(void)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        err(1, "listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* What comes with the connection is served at once: that is the least of calls. */
static void take(int listener, serve *serve_one)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (serve_one == answer_once && serve_one(fd))
            close(fd);
        else
            watch(fd);
    }
}

int main(int count, char **arguments)
{
    if (count != 4)
        errx(2, "usage: ceiling MODE CERTIFICATE RESPONSE");
    response = arguments[3];
    response_size = strlen(response);
    serve *serve_one = strcmp(arguments[1], "close") == 0 ? answer_once : answer;
#ifdef WITH_TLS
    if (strcmp(arguments[1], "tls") == 0) {
        start_tls(arguments[2]);
        serve_one = answer_tls;
    }
#endif
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
        err(1, "epoll_create1");
    int listener = listen_here();
    watch(listener);
    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR)
            err(1, "epoll_wait");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                take(listener, serve_one);
            else if (serve_one(fd))
                close(fd);
        }
    }
}
