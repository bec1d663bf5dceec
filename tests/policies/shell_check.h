// What must hold of every parse, for the mutation test and the fuzz target.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "policies/classify/shell_parser.h"

namespace airr::shell {

// Aborts with a message if an index or an offset of the result leads outside.
inline void check(std::string_view text) {
  const Script script = parse(text);
  auto require = [&](bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "parse: %s\n", what);
    std::abort();
  };
  auto checkWord = [&](const Word& word) {
    for (const Expansion& expansion : word.expansions) {
      require(expansion.offset + uint64_t{expansion.size} <= word.text.size(), "expansion offset");
      require(expansion.scope == kNone || expansion.scope < script.scopes.size(),
              "expansion scope");
    }
  };
  auto checkRedirections = [&](const std::vector<Redirection>& redirections) {
    for (const Redirection& redirection : redirections) {
      checkWord(redirection.target);
      require((redirection.kind == RedirectionKind::kHereDocument) ==
                  (redirection.document < script.documents.size()),
              "document index");
    }
  };
  require(!script.scopes.empty(), "no scope");
  for (size_t i = 0; i < script.scopes.size(); ++i) {
    const Scope& scope = script.scopes[i];
    require(i == 0 ? scope.parent == kNone : scope.parent < i, "scope parent");
    require(scope.pipeline == kNone || scope.pipeline < script.pipelines.size(), "scope pipeline");
    for (const Word& word : scope.words) checkWord(word);
    checkRedirections(scope.redirections);
  }
  for (const Pipeline& pipeline : script.pipelines) {
    require(pipeline.scope < script.scopes.size(), "pipeline scope");
  }
  for (const Command& command : script.commands) {
    require(command.scope < script.scopes.size(), "command scope");
    require(command.pipeline < script.pipelines.size(), "command pipeline");
    require(command.offset <= text.size(), "command offset");
    for (const Assignment& assignment : command.assignments) checkWord(assignment.value);
    for (const Word& word : command.words) checkWord(word);
    checkRedirections(command.redirections);
    inputOf(script, command);
  }
  for (const Word& document : script.documents) checkWord(document);
  require(!script.failure || script.failure->offset <= text.size(), "failure offset");
}

}  // namespace airr::shell
