// Every operator and type of fact, and what is said about conditions that are none.
#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

using testing::Test;

TEST(Condition, TextOperators) {
  const std::string read = "{action: open-read, path: /srv/data/report.pdf}";
  EXPECT_TRUE(matches("path = /srv/data/report.pdf", read));
  EXPECT_FALSE(matches("path = /srv/data", read));
  EXPECT_TRUE(matches("path != /srv/data", read));
  EXPECT_TRUE(matches("path in (/etc/passwd, /srv/data/report.pdf)", read));
  EXPECT_TRUE(matches("path under /srv/data", read));
  EXPECT_TRUE(matches("path under /", read));
  EXPECT_FALSE(matches("path under /srv/dat", read));
  EXPECT_TRUE(matches("path startswith /srv/dat", read));
  EXPECT_TRUE(matches("path endswith .pdf", read));
  EXPECT_TRUE(matches("path contains data/rep", read));
  EXPECT_TRUE(matches("path.name = report.pdf", read));
  EXPECT_TRUE(matches("path regex '^/srv/.*/report\\.(pdf|ps)$'", read));
  EXPECT_FALSE(matches("path regex '^/data'", read));
  EXPECT_TRUE(matches("path exists", read));
  EXPECT_FALSE(matches("exe exists", read));
}

TEST(Condition, Globs) {
  auto glob = [](const std::string& pattern, const std::string& path) {
    return matches("path glob " + pattern, "{action: open-read, path: \"" + path + "\"}");
  };
  EXPECT_TRUE(glob("/a/*.c", "/a/x.c"));
  EXPECT_FALSE(glob("/a/*.c", "/a/b/x.c"));
  EXPECT_TRUE(glob("/a/**/*.c", "/a/b/d/x.c"));
  EXPECT_TRUE(glob("/a/**/*.c", "/a/x.c"));
  EXPECT_FALSE(glob("/a/**/*.c", "/ab/x.c"));
  EXPECT_TRUE(glob("/a/**", "/a/b/c"));
  EXPECT_TRUE(glob("**/.env", "/w/.env"));
  EXPECT_TRUE(glob("**/.env", "/.env"));
  EXPECT_FALSE(glob("**/.env", "/w/x.env"));
  EXPECT_TRUE(glob("/a/?[0-9]", "/a/x7"));
  EXPECT_FALSE(glob("/a/?[!0-9]", "/a/x7"));
  EXPECT_FALSE(glob("/a/x.c", "/a/xyc"));
  EXPECT_FALSE(glob("/a/**", "/a"));
  EXPECT_TRUE(glob("**/.git/hooks/**", "/w/.git/hooks/x/y"));
  EXPECT_FALSE(glob("**/.git/hooks/**", "/w/.git/hooks"));
  EXPECT_TRUE(glob("/**/a/*/b", "/a/a/c/a/x/b"));
  EXPECT_TRUE(glob("/a/*b*c", "/a/xbybzc"));
  EXPECT_FALSE(glob("/a/*b*c", "/a/xbybz"));
  EXPECT_TRUE(glob("/a/**/**/c", "/a/c"));
  EXPECT_TRUE(glob("/[]x]", "/]"));
}

TEST(Condition, WhatAVariableStandsForIsNoPattern) {
  Bindings bindings = exampleBindings();
  bindings.workspace = "/w/[a]*";
  const Policy policy = policyOf(
      "- rule: r\n  condition: path glob ${workspace}/*.c or path regex '^${workspace}/x$'\n"
      "  verdict: allow\n",
      bindings);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: '/w/[a]*/t.c'}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: '/w/[a]*/x'}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: '/w/abc/t.c'}"), Verdict::kBlocked);
}

TEST(Condition, Lists) {
  const std::string run = "{action: exec, path: /usr/bin/git, argv: [git, push, --force]}";
  EXPECT_TRUE(matches("argv contains push", run));
  EXPECT_FALSE(matches("argv contains pus", run));
  EXPECT_TRUE(matches("argv intersects (-f, --force)", run));
  EXPECT_TRUE(matches("argv[1] = push", run));
  EXPECT_FALSE(matches("argv[3] = push", run));
  EXPECT_FALSE(matches("argv[3] != push", run));
  EXPECT_TRUE(matches("argv startswith --fo", run));
  EXPECT_TRUE(matches("cmdline = 'git push --force'", run));
  EXPECT_TRUE(matches("lineage under /opt/agent",
                      "{action: spawn, lineage: [/usr/bin/bash, /opt/agent/bin/agent]}"));
}

TEST(Condition, NumbersFlagsEnumsSets) {
  const std::string to = "{action: connect, family: inet, host: 10.1.2.3, port: 8443}";
  EXPECT_TRUE(matches("port = 8443", to));
  EXPECT_TRUE(matches("port in (22, 8000-9000)", to));
  EXPECT_FALSE(matches("port < 8443", to));
  EXPECT_TRUE(matches("port >= 8443", to));
  EXPECT_TRUE(matches("host in (192.168.0.0/16, 10.0.0.0/8)", to));
  EXPECT_FALSE(matches("host = 10.1.2.4", to));
  EXPECT_TRUE(matches("family = inet", to));
  EXPECT_FALSE(matches("family in (inet6, unix)", to));
  EXPECT_TRUE(matches("host = '::1'", "{action: connect, host: '::1'}"));
  EXPECT_TRUE(matches("host = 127.0.0.1", "{action: connect, host: '::ffff:127.0.0.1'}"));
  EXPECT_TRUE(matches("file.mode bits 0o6000", "{action: exec, path: /x, file.mode: 0o4755}"));
  EXPECT_TRUE(matches("file.exists", "{action: create, path: /x, file.exists: true}"));
  EXPECT_FALSE(matches("file.exists", "{action: create, path: /x, file.exists: false}"));
  EXPECT_TRUE(matches("file.exists = false", "{action: create, path: /x, file.exists: false}"));
  EXPECT_FALSE(matches("file.exists = false", "{action: create, path: /x}"));
  EXPECT_TRUE(matches("class intersects (network, destructive)",
                      "{action: exec, path: /x, class: [inspect, network]}"));
  EXPECT_TRUE(matches("action in writes", "{action: rename, path: /x}"));
  EXPECT_FALSE(matches("action in (network, exec)", "{action: rename, path: /x}"));
}

TEST(Condition, HostNamesAndToolArguments) {
  const std::string to = "{action: connect, host: 1.2.3.4, host.name: [api.github.com]}";
  const std::string greeting = "{action: send, host: 1.2.3.4, tls.name: api.github.com}";
  EXPECT_TRUE(matches("tls.name under GitHub.com", greeting));
  EXPECT_TRUE(matches("tls.name = api.github.com", greeting));
  EXPECT_FALSE(matches("tls.name under hub.com", greeting));
  EXPECT_FALSE(matches("tls.name exists", to));
  EXPECT_TRUE(matches("host.name under github.com", to));
  EXPECT_TRUE(matches("host.name under GitHub.com", to));
  EXPECT_TRUE(matches("host.name contains api.github.com", to));
  EXPECT_FALSE(matches("host.name under hub.com", to));
  EXPECT_FALSE(matches("host.name under api.github.com.evil.example", to));
  const std::string call =
      "{action: tool-call, tool.name: write, tool.argument: {/path: /etc/passwd, /n/0: '7'}}";
  EXPECT_TRUE(matches("tool.argument[/path] startswith /etc", call));
  EXPECT_TRUE(matches("tool.argument[/n/0] = 7", call));
  EXPECT_FALSE(matches("tool.argument[/mode] exists", call));
}

TEST(Condition, LongListsAreTheSameAsShortOnes) {
  std::string trees, domains, words;
  for (int i = 0; i < 50; ++i) {
    trees += "/t" + std::to_string(i) + "/sub, ";
    domains += "d" + std::to_string(i) + ".example, ";
    words += "w" + std::to_string(i) + ", ";
  }
  EXPECT_TRUE(matches("path under (" + trees + "/last)", "{action: unlink, path: /t49/sub/a/b}"));
  EXPECT_FALSE(matches("path under (" + trees + "/last)", "{action: unlink, path: /t49/su}"));
  EXPECT_TRUE(matches("host.name under (" + domains + "org)",
                      "{action: connect, host.name: a.b.d7.example}"));
  EXPECT_FALSE(
      matches("host.name under (" + domains + "org)", "{action: connect, host.name: xd7.example}"));
  EXPECT_TRUE(matches("path.name in (" + words + "x)", "{action: exec, path: /bin/w13}"));
}

TEST(Condition, Logic) {
  const std::string a = "{action: exec, path: /bin/a}";
  EXPECT_TRUE(matches("not path = /bin/b and (path = /bin/b or path.name = a)", a));
  EXPECT_TRUE(matches("path = /bin/b and path = /bin/c or path = /bin/a", a));
  EXPECT_FALSE(matches("not (path = /bin/a or path = /bin/b)", a));
  EXPECT_TRUE(matches("always", a));
  // A test of what is not there is false, its opposite true.
  EXPECT_FALSE(matches("port = 1", a));
  EXPECT_FALSE(matches("port != 1", a));
  EXPECT_TRUE(matches("not port = 1", a));
}

TEST(Condition, SaysWhatIsWrongAndWhere) {
  auto of = [](const std::string& condition) {
    return refusal("- policy: p\n- rule: r\n  condition: " + condition + "\n  verdict: allow\n");
  };
  auto expect = [&](const std::string& condition, const std::string& where,
                    const std::string& what) {
    const std::string said = of(condition);
    EXPECT_TRUE(said.starts_with("p.yaml:" + where + ":")) << said;
    EXPECT_NE(said.find(what), std::string::npos) << said;
  };
  expect("pth = /x", "3:14", "did you mean 'path'?");
  expect("action = exce", "3:23", "did you mean 'exec'?");
  expect("path undr /x", "3:19", "did you mean 'under'?");
  expect("path < /x", "3:19", "it takes");
  expect("path under x", "3:25", "not an absolute path");
  expect("path under /a/../b", "3:25", "write '/b'");
  expect("(path = /x", "3:24", "')' is missing");
  expect("path = /x)", "3:23", "was not opened");
  expect("path = /x path = /y", "3:24", "'and' or 'or'");
  expect("path in /x", "3:22", "parentheses");
  expect("path in $list", "3:22", "no list 'list'");
  expect("path = ${nowhere}/x", "3:21", "no variable 'nowhere'");
  expect("port = 80x", "3:21", "not a number");
  expect("host = example.org", "3:21", "host.name");
  expect("host in (10.0.0.0/33)", "3:23", "not an address");
  expect("labels contains secret", "3:30", "no rule sets 'secret'");
  expect("path glob /a**", "3:24", "whole components");
  expect("path glob /[a", "3:24", "not closed");
  expect("path regex '('", "3:25", "regular expression");
  expect("path[0] = /x", "3:14", "is no list");
  expect("tool.argument = x", "3:14", "JSON pointer");
  expect("macro_that_is_not", "3:14", "no fact or macro");
  expect("path = 'x", "3:21", "not closed");
  // In a folded text the place is that of the word in the file.
  const std::string said = refusal(
      "- policy: p\n- rule: r\n  condition: >\n    action = exec and\n    pth = /x\n"
      "  verdict: allow\n");
  EXPECT_TRUE(said.starts_with("p.yaml:5:5:")) << said;
}

}  // namespace
}  // namespace airr::policies
