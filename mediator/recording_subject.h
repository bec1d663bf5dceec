// What a decision of the recording mediator is about. Internal to the mediator.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mediator/facts/call_actions.h"
#include "mediator/facts/invocation.h"
#include "mediator/recording.h"

namespace airr {

// Everything that the actions' views point to.
struct Recording::Subject {
  facts::CallFacts facts;
  facts::CallActions actions;
  std::string address;  // of a socket
  std::string descriptorPath;
  std::string linkTarget;
  facts::InvocationFacts invocation;  // exec
  std::vector<std::string> arguments;
  std::vector<std::string_view> argumentViews;
  std::string digest;
  std::vector<std::string_view> lineage;
};

}  // namespace airr
