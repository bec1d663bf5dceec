// What this machine is, for the trace's header, and the affinity that recording imposes.
//
// Free functions; any thread. Throws Error when the kernel does not answer.
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace airr {

// `counterTraps`: what trapOwnCounter() said (mediator/own_time.h).
void describeMachine(schema::Machine::Builder, bool counterTraps);
// Features of /proc/cpuinfo that `recorded` has and this CPU lacks.
std::vector<std::string> missingFeatures(schema::Machine::Reader recorded);
std::vector<uint8_t> randomBytes(size_t);
std::string currentDirectory();

// The calling thread's CPU mask, in 64-bit words.
std::vector<uint64_t> currentAffinity();
// Stopping is 5 to 10 times cheaper with tracee and mediator on one core (design.md, section 5).
// None is given: the one that the caller runs on. Throws Error if it may not run there.
void pinToCore(std::optional<unsigned> core);

}  // namespace airr
