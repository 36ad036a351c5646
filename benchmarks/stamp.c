/* Write into the file named first when this program began and when it was about to end, in nanoseconds.
   A static program of a few system calls: what is left between two of them is the workflow engine's. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **words) {
    long long began = now();
    if (count < 2) return 2;
    int file = open(words[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return 1;
    char text[64];
    int length = snprintf(text, sizeof text, "%lld %lld\n", began, now());
    if (write(file, text, length) != length) return 1;
    _exit(0);
}
