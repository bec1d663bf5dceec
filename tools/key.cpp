#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>

#include "recorder/keys.h"
#include "recorder/signing.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  bool passphrase = false, tpm = false, json = false;
  std::string output;
  std::function<int()> chosen;

  Protection protection() const {
    return passphrase ? Protection::kPassphrase : tpm ? Protection::kTpm : Protection::kNone;
  }
};

void say(const KeyStore& keys) {
  std::cout
      << "made the key " << hex(keys.id().data(), keys.id().size()) << " in "
      << printable(keys.path()) << '\n'
      << "  public key  " << fingerprint(keys.publicKey())
      << " (airr key export-public writes it)\n"
      << "  keep a copy where nobody else reads it: traces cannot be verified with the root key\n"
      << "  when it is lost, only with the public key\n";
}

int show(const Options& options) {
  const std::string path = KeyStore::defaultPath();
  const KeyFile key = KeyStore::peek(path);
  if (options.json) {
    std::cout << dump({{"path", jsonText(path)},
                       {"id", hex(key.id.data(), key.id.size())},
                       {"publicKey", hex(key.publicKey.data(), key.publicKey.size())},
                       {"fingerprint", fingerprint(key.publicKey)},
                       {"protection", toString(key.protection)}})
              << '\n';
    return 0;
  }
  std::cout << "key           " << hex(key.id.data(), key.id.size()) << '\n'
            << "  file        " << printable(path) << '\n'
            << "  protection  " << toString(key.protection) << '\n'
            << "  public key  " << fingerprint(key.publicKey) << '\n';
  return 0;
}

int exportPublic(const Options& options) {
  const std::string pem = toPem(KeyStore::peek(KeyStore::defaultPath()).publicKey);
  if (options.output.empty()) {
    std::cout << pem;
    return 0;
  }
  std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
  file << pem;
  file.close();
  if (!file) throw systemError("cannot write '" + options.output + "'");
  return 0;
}

}  // namespace

Command addKey(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  auto add = [&](const char* name, const char* description, auto action) {
    CLI::App* sub = app.add_subcommand(name, description);
    sub->callback(
        [options, action] { options->chosen = [options, action] { return action(*options); }; });
    return sub;
  };
  auto addProtection = [&](CLI::App* sub) {
    auto* passphrase = sub->add_flag("--passphrase", options->passphrase,
                                     "Seal the key with a passphrase (scrypt)");
    sub->add_flag("--tpm", options->tpm, "Seal the key with this host's TPM 2.0 (tpm2-tools)")
        ->excludes(passphrase);
  };
  addProtection(add("init", "Make a key where there is none.", [](const Options& o) {
    say(KeyStore::create(KeyStore::defaultPath(), o.protection()));
    return 0;
  }));
  addProtection(
      add("rotate", "Make another key; the former stays for its traces.", [](const Options& o) {
        say(KeyStore::rotate(KeyStore::defaultPath(), o.protection()));
        return 0;
      }));
  add("show", "Show which key it is, not what it is.", show)
      ->add_flag("--json", options->json, "Print one JSON object");
  add("export-public", "Write the public key, with which anyone can verify, in PEM.", exportPublic)
      ->add_option("file", options->output, "Where to; standard output if it is not given")
      ->type_name("FILE");
  app.footer(
      "The key is in $AIRR_KEY_FILE, else $XDG_DATA_HOME/airr/root.key, else\n"
      "~/.local/share/airr/root.key. A passphrase is asked for, or is the first line of\n"
      "$AIRR_PASSPHRASE_FILE.");
  return [options] { return options->chosen(); };
}

}  // namespace airr::tools
