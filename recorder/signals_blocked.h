// Keeps the signals of this thread waiting for as long as it lives, but for SIGSEGV, which serves RDTSC
// (mediator/own_time.h). Threads that are made meanwhile never get them. errno stays what it is.
//
// For the thread that made it. Nothing fails.
#pragma once

#include <signal.h>

namespace airr {

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t most;
    sigfillset(&most);
    sigdelset(&most, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &most, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace airr
