// The subcommands of `airr`. Each file of this folder adds one to the command line and says how to
// run it; main.cpp picks the one that the user named.
//
// A Command runs once, on the main thread, after parsing. It returns the exit status of `airr` and
// throws Error (schema/error.h), which main.cpp alone turns into a message and a status.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace airr::tools {

using Command = std::function<int()>;

// `app` is the subcommand's own; the Command must not outlive it.
Command addRecord(CLI::App& app, const std::vector<std::string>& program);
Command addReplay(CLI::App& app);
Command addVerify(CLI::App& app);
Command addProve(CLI::App& app);
Command addKey(CLI::App& app);
Command addRedact(CLI::App& app);
Command addInspect(CLI::App& app);
Command addClassify(CLI::App& app, const std::vector<std::string>& program);
Command addSyscalls(CLI::App& app);
Command addDoctor(CLI::App& app);
Command addPolicy(CLI::App& app);
Command addJudge(CLI::App& app);
Command addApprove(CLI::App& app);
Command addOverlay(CLI::App& app);

// Where libairr.so is: in the build tree or the installation that this executable belongs to.
// Empty if it is in neither.
std::string findShim();

}  // namespace airr::tools
