// Asks the human at the terminal whether something may happen.
//
// The controlling terminal is the mediator's own, opened anew for each question; what was typed before
// the question is thrown away, so nothing that a tracee could have put there answers it (TIOCSTI is
// refused to tracees). While a question waits, no stopped tracee goes on. The controlling thread only.
#pragma once

#include <chrono>
#include <string>

namespace airr {

enum class Answer { kYes, kNo, kNone };

// kNone: nobody could be asked, or nobody answered in time.
Answer askAtTerminal(const std::string& question, std::chrono::seconds timeout);

}  // namespace airr
