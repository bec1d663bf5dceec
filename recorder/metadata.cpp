#include "recorder/metadata.h"

namespace airr {
namespace {

void copyCall(schema::Syscall::Reader from, schema::Syscall::Builder to) {
  to.setNumber(from.getNumber());
  to.setPhase(from.getPhase());
  to.setHandling(from.getHandling());
  to.setStream(from.getStream());
  to.setResult(from.getResult());
  to.setArguments(from.getArguments());
  to.setPath(from.getPath());
  to.setOtherPath(from.getOtherPath());
  to.setMapping(from.getMapping());
  to.setChild(from.getChild());
  to.setLeadsNowhere(from.getLeadsNowhere());
}

void copyExec(schema::Exec::Reader from, schema::Exec::Builder to) {
  to.setPath(from.getPath());
  to.setArguments(from.getArguments());
  to.setRegions(from.getRegions());
  to.setProgramBreak(from.getProgramBreak());
  to.setFormerTask(from.getFormerTask());
}

// Tool arguments are contents, and a digest over them lets them be guessed.
void copyDecision(schema::Decision::Reader from, schema::Event::Builder event) {
  event.setDecision(from);
  auto to = event.getDecision();
  to.disownDigest();
  for (auto action : to.getActions()) action.disownToolArguments();
}

}  // namespace

void copyMetadata(schema::Event::Reader from, schema::Event::Builder to) {
  to.setTask(from.getTask());
  to.setTime(from.getTime());
  switch (from.which()) {
    case schema::Event::EXEC:
      copyExec(from.getExec(), to.initExec());
      break;
    case schema::Event::SYSCALL:
      copyCall(from.getSyscall(), to.initSyscall());
      break;
    case schema::Event::SIGNAL: {
      auto signal = to.initSignal();
      signal.setNumber(from.getSignal().getNumber());
      signal.setAction(from.getSignal().getAction());
      signal.setSynchronous(from.getSignal().getSynchronous());
      break;
    }
    case schema::Event::TRAP: {
      auto trap = to.initTrap();
      trap.setKind(from.getTrap().getKind());
      trap.setLength(from.getTrap().getLength());
      break;
    }
    case schema::Event::CLOCKS:
      to.initClocks(0);
      break;
    case schema::Event::FORCED: {
      auto forced = to.initForced();
      forced.setReason(from.getForced().getReason());
      forced.setHookCount(from.getForced().getHookCount());
      break;
    }
    case schema::Event::TASK_EXIT: {
      auto exit = to.initTaskExit();
      exit.setStatus(from.getTaskExit().getStatus());
      exit.setLastOfProcess(from.getTaskExit().getLastOfProcess());
      break;
    }
    case schema::Event::NOTE:
      to.initNote().setKind(from.getNote().getKind());
      break;
    case schema::Event::SHARED_OBJECT:
      to.setSharedObject(from.getSharedObject());
      break;
    case schema::Event::SESSION_END:
      to.setSessionEnd(from.getSessionEnd());
      break;
    case schema::Event::GATE_YIELD:
      to.setGateYield(from.getGateYield());
      break;
    case schema::Event::POLICY:
      to.setPolicy(from.getPolicy());
      break;
    case schema::Event::DECISION:
      copyDecision(from.getDecision(), to);
      break;
    case schema::Event::PATCH:
      to.initPatch(0);
      break;
  }
}

}  // namespace airr
