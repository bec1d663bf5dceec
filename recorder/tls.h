// The client's side of TLS (1.2 or later) over a connected socket. The server must show a
// certificate for its name that an authority of this host's store has signed; $SSL_CERT_FILE and
// $SSL_CERT_DIR name another store, as for all of OpenSSL.
//
// Ownership: a TlsConnection borrows the socket. Any thread, one at a time each. Failure: Error
// (kFailure) if there is no agreement with the server; later, return values.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace airr {

class TlsConnection {
 public:
  // `host`: a name, or an IP address as text.
  TlsConnection(int socket, const std::string& host);
  ~TlsConnection();

  // False: not all of it, and errno says why.
  bool send(std::string_view text);
  // How many bytes; 0 once the server has said that nothing follows; -1 with errno, which is
  // ECONNABORTED if the connection ended without that.
  ssize_t receive(std::span<char> to);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
