#include "replayer/materialize.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "replayer/descriptor_table.h"
#include "replayer/passed_arguments.h"
#include "replayer/task_tracker.h"

namespace airr {
namespace {

constexpr size_t kMaxInFlight = 4096;  // messages

// Devices, and files that the kernel makes up.
bool isSpecial(const std::string& path) {
  if (path.starts_with("/dev/shm/")) return false;
  return !path.starts_with('/') || path.starts_with("/dev/") || path.starts_with("/proc/") ||
         path.starts_with("/sys/");
}

}  // namespace

class Materializer::Impl {
 public:
  Impl(ReadBlob readBlob, std::string directory)
      : readBlob_(std::move(readBlob)), startDirectory_(std::move(directory)) {}

  void observe(const schema::Event::Reader& event, syscalls::MemoryReader& memory);
  void sharedContent(uint32_t object, std::span<const uint8_t> content);
  MaterializeResult writeTo(const std::string& directory) const {
    return tree_.writeTo(directory, spool_, readBlob_);
  }

 private:
  using Passed = PassedArguments;
  using Data = std::vector<uint8_t>;
  using Payload = capnp::List<schema::MemoryWrite>::Reader;

  struct Task {
    std::shared_ptr<DescriptorTable> table;
    std::shared_ptr<FileSystemContext> context;
    std::optional<Passed> passed;  // of the call that it is inside
  };

  // A finished call, with all that is known of it.
  struct Done {
    Task& task;
    const syscalls::Call& call;
    const Passed& passed;
    const std::string& path;  // as recorded; empty: not recorded
    schema::Syscall::Reader event;
    uint64_t argument(int i) const { return call.arguments[i]; }
    int fd(int i) const { return static_cast<int>(call.arguments[i]); }
    uint64_t result() const { return static_cast<uint64_t>(event.getResult()); }
    std::shared_ptr<FileDescription> file(int i) const { return task.table->find(fd(i)); }
  };

  void addTask(uint32_t number, uint32_t parent, uint64_t flags);
  void exec(uint32_t number, uint32_t former);

  // By subject; true if the call was theirs.
  bool descriptorCall(const Done& done);
  bool dataCall(const Done& done);
  bool nameCall(const Done& done);
  bool processCall(const Done& done);

  void opened(const Done& done);
  void controlled(const Done& done);
  void closeRange(const Done& done);
  void received(const Done& done, bool closeOnExec);
  void written(const Done& done, std::optional<uint64_t> at);
  void moved(const Done& done, int toArgument, int offsetArgument);
  void allocated(const Done& done);
  void mapped(const Done& done);
  void linked(const Done& done);
  void made(const Done& done, uint64_t mode);

  void writeData(FileDescription& file, std::optional<uint64_t> at, const Data& data);
  Data bytesOf(Payload payload) const;
  static void addEarlier(FileNode& node, Payload payload, Spool& spool);

  std::string absolute(const Done& done, int which) const;
  std::shared_ptr<FileNode> nodeBehindDescriptorPath(const Done& done) const;

  ReadBlob readBlob_;
  std::string startDirectory_;
  std::map<uint32_t, Task> tasks_;
  TaskTracker tracker_{
      [this](uint32_t task, uint32_t parent, uint64_t flags) { addTask(task, parent, flags); }};
  FileTree tree_;
  Spool spool_;
  std::map<uint32_t, std::shared_ptr<FileNode>> shared_;  // by object
  // Sent and not received yet. Which socket they are in is not modelled: the first message with as
  // many descriptors is taken for the received one.
  std::deque<std::vector<std::shared_ptr<FileDescription>>> inFlight_;
};

// --- tasks ---

void Materializer::Impl::addTask(uint32_t number, uint32_t parent, uint64_t flags) {
  Task task;
  auto from = tasks_.find(parent);
  if (from == tasks_.end()) {
    task.table = std::make_shared<DescriptorTable>();
    task.context = std::make_shared<FileSystemContext>(FileSystemContext{startDirectory_});
  } else {
    const Task& other = from->second;
    task.table =
        flags & CLONE_FILES ? other.table : std::make_shared<DescriptorTable>(*other.table);
    task.context =
        flags & CLONE_FS ? other.context : std::make_shared<FileSystemContext>(*other.context);
  }
  tasks_[number] = std::move(task);
}

void Materializer::Impl::exec(uint32_t number, uint32_t former) {
  auto caller = tasks_.find(former);
  Task& task = tasks_[number];
  Task& from = caller == tasks_.end() ? task : caller->second;
  auto table = std::make_shared<DescriptorTable>(*from.table);
  std::erase_if(table->slots, [](auto& slot) { return slot.second.closeOnExec; });
  task.context = std::make_shared<FileSystemContext>(*from.context);
  task.table = std::move(table);
  task.passed.reset();
  if (former != number) tasks_.erase(former);
}

void Materializer::Impl::observe(const schema::Event::Reader& event,
                                 syscalls::MemoryReader& memory) {
  auto step = tracker_.observe(event);
  uint32_t number = event.getTask();
  if (number == raw(TaskId::kSession)) return;
  if (!tasks_.contains(number)) addTask(number, 0, 0);
  if (event.isExec()) return exec(number, event.getExec().getFormerTask());
  if (event.isTaskExit()) {
    tasks_.erase(number);
    return;
  }
  if (!event.isSyscall() || !step) return;

  Task& task = tasks_[number];
  auto syscall = event.getSyscall();
  if (!step->finished) {
    task.passed = readPassed(step->call, *task.table, syscalls::kMaxRegionBytes, memory);
    return;
  }
  std::optional<Passed> passed = std::exchange(task.passed, std::nullopt);
  int64_t result = syscall.getResult();
  if (step->call.number == SYS_close && (result == -EINTR || result == -EIO)) {
    result = 0;  // the descriptor is gone all the same (close(2))
  }
  if (result < 0 && result >= -4095) return;
  if (syscall.getPhase() == schema::Syscall::Phase::WHOLE) {
    passed = readPassed(step->call, *task.table, static_cast<uint64_t>(result), memory);
  }
  if (!passed) return;
  Done done{task, step->call, *passed, step->path, syscall};
  descriptorCall(done) || dataCall(done) || nameCall(done) || processCall(done);
}

bool Materializer::Impl::processCall(const Done& done) {
  Task& task = done.task;
  switch (done.call.number) {
    case SYS_chdir:
      task.context->directory = tree_.resolve(absolute(done, 0));
      return true;
    case SYS_fchdir:
      if (auto file = done.file(0)) task.context->directory = file->path;
      return true;
    case SYS_umask:
      task.context->mask = done.argument(0) & 0777;
      return true;
    case SYS_unshare:
      if (done.argument(0) & CLONE_FILES) {
        task.table = std::make_shared<DescriptorTable>(*task.table);
      }
      if (done.argument(0) & CLONE_FS) {
        task.context = std::make_shared<FileSystemContext>(*task.context);
      }
      return true;
    default:
      return false;
  }
}

// --- descriptors ---

bool Materializer::Impl::descriptorCall(const Done& done) {
  DescriptorTable& table = *done.task.table;
  switch (done.call.number) {
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
      opened(done);
      return true;
    case SYS_close:
      table.slots.erase(done.fd(0));
      return true;
    case SYS_close_range:
      closeRange(done);
      return true;
    case SYS_dup:
      table.set(static_cast<int>(done.result()), done.file(0), false);
      return true;
    case SYS_dup2:
    case SYS_dup3:
      if (done.fd(0) != done.fd(1)) {
        bool closeOnExec = done.call.number == SYS_dup3 && (done.argument(2) & O_CLOEXEC);
        table.set(done.fd(1), done.file(0), closeOnExec);
      }
      return true;
    case SYS_fcntl:
    case SYS_ioctl:
      controlled(done);
      return true;
    case SYS_lseek:
      if (auto file = done.file(0)) file->position = done.result();
      return true;
    case SYS_sendmsg:
      if (!done.passed.descriptors.empty()) {
        if (inFlight_.size() == kMaxInFlight) inFlight_.pop_front();
        inFlight_.push_back(done.passed.descriptors);
      }
      return true;
    case SYS_recvmsg:
      received(done, done.argument(2) & MSG_CMSG_CLOEXEC);
      return true;
    default:
      return false;
  }
}

void Materializer::Impl::opened(const Done& done) {
  constexpr const char* kDeleted = " (deleted)";
  uint64_t flags = done.passed.flags;
  auto file = std::make_shared<FileDescription>();
  file->path = done.path;
  file->writable = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
  file->append = flags & O_APPEND;
  done.task.table->set(static_cast<int>(done.result()), file, flags & O_CLOEXEC);
  if (isSpecial(file->path)) return;

  bool creates = flags & O_CREAT;
  bool truncates = flags & O_TRUNC;
  auto newNode = [&] {
    auto node = std::make_shared<FileNode>();
    node->changed = true;
    node->mode = done.passed.mode & 07777 & ~done.task.context->mask;
    return node;
  };
  if ((flags & O_TMPFILE) == O_TMPFILE) {
    file->node = newNode();  // gets a name by linkat, if at all
    return;
  }
  if (file->path.ends_with(kDeleted)) return;
  file->node = tree_.find(file->path);
  if (!file->node && (file->writable || creates || truncates)) {
    Payload earlier = done.event.getPayload();
    if (earlier.size() > 0) {
      file->node = std::make_shared<FileNode>();
      addEarlier(*file->node, earlier, spool_);
    } else if (creates) {
      file->node = newNode();
      // Of a file that is not opened for writing the trace does not say whether it was there.
      file->node->inexact = !file->writable && !(flags & (O_EXCL | O_TRUNC));
    } else {
      file->node = std::make_shared<FileNode>();
      file->node->inexact = !truncates;
    }
    tree_.put(file->path, file->node);
  }
  if (truncates && file->node) {
    file->node->content.resize(0);
    file->node->changed = true;
  }
}

void Materializer::Impl::controlled(const Done& done) {
  DescriptorTable& table = *done.task.table;
  auto slot = table.slots.find(done.fd(0));
  if (slot == table.slots.end()) return;
  std::shared_ptr<FileDescription> file = slot->second.file;
  uint64_t operation = done.argument(1) & 0xffffffff;
  if (done.call.number == SYS_ioctl) {
    switch (operation) {
      case FIOCLEX:
        slot->second.closeOnExec = true;
        break;
      case FIONCLEX:
        slot->second.closeOnExec = false;
        break;
      default:
        break;
    }
    return;
  }
  switch (operation) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      table.set(static_cast<int>(done.result()), file, operation == F_DUPFD_CLOEXEC);
      break;
    case F_SETFD:
      slot->second.closeOnExec = done.argument(2) & FD_CLOEXEC;
      break;
    case F_SETFL:
      file->append = done.argument(2) & O_APPEND;
      break;
    default:
      break;
  }
}

void Materializer::Impl::closeRange(const Done& done) {
  uint64_t first = done.argument(0) & 0xffffffff;
  uint64_t last = done.argument(1) & 0xffffffff;
  uint64_t flags = done.argument(2);
  Task& task = done.task;
  if (flags & CLOSE_RANGE_UNSHARE) task.table = std::make_shared<DescriptorTable>(*task.table);
  auto inRange = [&](int fd) {
    return static_cast<uint64_t>(fd) >= first && static_cast<uint64_t>(fd) <= last;
  };
  if (flags & CLOSE_RANGE_CLOEXEC) {
    for (auto& [fd, slot] : task.table->slots) slot.closeOnExec |= inRange(fd);
  } else {
    std::erase_if(task.table->slots, [&](auto& slot) { return inRange(slot.first); });
  }
}

void Materializer::Impl::received(const Done& done, bool closeOnExec) {
  if (done.passed.control == 0) return;
  for (auto write : done.event.getWrites()) {
    if (!write.isBytes() || write.getAddress() != done.passed.control) continue;
    auto bytes = write.getBytes();
    std::vector<int> descriptors = passedDescriptors(Data(bytes.begin(), bytes.end()));
    if (descriptors.empty()) return;
    auto sent = std::find_if(inFlight_.begin(), inFlight_.end(),
                             [&](auto& message) { return message.size() == descriptors.size(); });
    if (sent == inFlight_.end()) return;
    for (size_t i = 0; i < descriptors.size(); ++i) {
      done.task.table->set(descriptors[i], (*sent)[i], closeOnExec);
    }
    inFlight_.erase(sent);
    return;
  }
}

// --- content ---

bool Materializer::Impl::dataCall(const Done& done) {
  switch (done.call.number) {
    case SYS_read:
    case SYS_readv:
      if (auto file = done.file(0)) file->position += done.result();
      return true;
    case SYS_preadv2:
      // Offset -1: at the position, which moves (readv(2)).
      if (auto file = done.file(0); file && done.argument(3) == ~uint64_t{0}) {
        file->position += done.result();
      }
      return true;
    case SYS_write:
    case SYS_writev:
      written(done, std::nullopt);
      return true;
    case SYS_pwrite64:
    case SYS_pwritev:
      written(done, done.argument(3));
      return true;
    case SYS_pwritev2:
      if (done.argument(3) == ~uint64_t{0}) {
        written(done, std::nullopt);
      } else {
        written(done, done.argument(3));
      }
      return true;
    case SYS_sendfile:
      if (auto from = done.file(1); from && done.argument(2) == 0) from->position += done.result();
      moved(done, 0, kNoArgument);
      return true;
    case SYS_copy_file_range:
    case SYS_splice:
      if (auto from = done.file(0); from && done.argument(1) == 0) from->position += done.result();
      moved(done, 2, 3);
      return true;
    case SYS_ftruncate:
      if (auto file = done.file(0); file && file->node) {
        file->node->content.resize(done.argument(1));
        file->node->changed = true;
      }
      return true;
    case SYS_fallocate:
      allocated(done);
      return true;
    case SYS_mmap:
      mapped(done);
      return true;
    default:
      return false;
  }
}

void Materializer::Impl::written(const Done& done, std::optional<uint64_t> at) {
  auto file = done.file(0);
  if (!file || !file->node) return;
  Data data = done.passed.data;
  if (data.size() < done.result()) {
    file->node->inexact = true;
  } else {
    data.resize(done.result());
  }
  constexpr uint64_t kAppend = 0x10;  // RWF_APPEND
  if (done.call.number == SYS_pwritev2 && (done.argument(5) & kAppend)) {
    writeData(*file, file->node->content.size(), data);
    if (!at) file->position = file->node->content.size();
    return;
  }
  writeData(*file, at, data);
}

// O_APPEND wins over the offset of a pwrite on Linux (pwrite(2), BUGS).
void Materializer::Impl::writeData(FileDescription& file, std::optional<uint64_t> at, const Data& data) {
  FileContent& content = file.node->content;
  uint64_t start = file.append ? content.size() : at.value_or(file.position);
  content.write(start, data, spool_);
  file.node->changed = true;
  if (!at) file.position = start + data.size();
}

// The offset argument points to the offset after the call; null: at the position.
void Materializer::Impl::moved(const Done& done, int toArgument, int offsetArgument) {
  auto file = done.file(toArgument);
  if (!file || !file->node) return;
  std::optional<uint64_t> at;
  if (offsetArgument != kNoArgument && done.argument(offsetArgument) != 0) {
    for (auto write : done.event.getWrites()) {
      uint64_t after;
      if (!write.isBytes() || write.getAddress() != done.argument(offsetArgument) ||
          write.getBytes().size() < sizeof after) {
        continue;
      }
      std::memcpy(&after, write.getBytes().begin(), sizeof after);
      at = after - done.result();
    }
    if (!at) {
      file->node->inexact = true;
      return;
    }
  }
  Data data = bytesOf(done.event.getPayload());
  if (data.size() != done.result()) file->node->inexact = true;
  writeData(*file, at, data);
}

void Materializer::Impl::allocated(const Done& done) {
  auto file = done.file(0);
  if (!file || !file->node) return;
  FileNode& node = *file->node;
  uint64_t mode = done.argument(1), at = done.argument(2), length = done.argument(3);
  if (at > INT64_MAX || length > INT64_MAX - at) return;
  node.changed = true;
  uint64_t size = node.content.size();
  if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
    node.inexact = true;
    return;
  }
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    if (at < size) node.content.writeZeros(at, std::min(length, size - at));
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE) && at + length > size) node.content.resize(at + length);
}

void Materializer::Impl::mapped(const Done& done) {
  auto mapping = done.event.getMapping();
  auto file = done.file(4);
  if (mapping.isShared() && file && file->node && file->writable) {
    shared_[mapping.getShared().getObject()] = file->node;
  }
}

void Materializer::Impl::sharedContent(uint32_t object, std::span<const uint8_t> content) {
  auto found = shared_.find(object);
  if (found == shared_.end()) return;
  FileNode& node = *found->second;
  // What a mapping holds beyond the end of its file is never written.
  uint64_t size = std::min<uint64_t>(node.content.size(), content.size());
  if (node.inexact) size = content.size();
  node.content.write(0, content.first(size), spool_);
  node.changed = true;
}

Materializer::Impl::Data Materializer::Impl::bytesOf(Payload payload) const {
  Data all;
  for (auto piece : payload) {
    if (all.size() >= syscalls::kMaxRegionBytes) break;
    switch (piece.which()) {
      case schema::MemoryWrite::BYTES:
        all.insert(all.end(), piece.getBytes().begin(), piece.getBytes().end());
        break;
      case schema::MemoryWrite::BLOB: {
        auto range = piece.getBlob();
        Data bytes = readBlob_(range.getBlob(), range.getOffset(), range.getLength());
        all.insert(all.end(), bytes.begin(), bytes.end());
        break;
      }
      case schema::MemoryWrite::ZEROS:
        all.resize(all.size() + std::min(piece.getZeros(), syscalls::kMaxRegionBytes));
        break;
    }
  }
  return all;
}

void Materializer::Impl::addEarlier(FileNode& node, Payload payload, Spool& spool) {
  for (auto piece : payload) {
    FileContent& content = node.content;
    switch (piece.which()) {
      case schema::MemoryWrite::BYTES: {
        Data bytes(piece.getBytes().begin(), piece.getBytes().end());
        content.write(content.size(), bytes, spool);
        break;
      }
      case schema::MemoryWrite::BLOB: {
        auto range = piece.getBlob();
        content.addEarlier(range.getBlob(), range.getOffset(), range.getLength());
        break;
      }
      case schema::MemoryWrite::ZEROS:
        content.writeZeros(content.size(), piece.getZeros());
        node.inexact = true;
        break;
    }
  }
}

// --- names ---

bool Materializer::Impl::nameCall(const Done& done) {
  switch (done.call.number) {
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2: {
      bool exchange = done.call.number == SYS_renameat2 && (done.argument(4) & RENAME_EXCHANGE);
      tree_.rename(absolute(done, 0), absolute(done, 1), exchange);
      return true;
    }
    case SYS_link:
    case SYS_linkat:
      linked(done);
      return true;
    case SYS_symlink:
    case SYS_symlinkat: {
      auto node = std::make_shared<FileNode>();
      node->kind = FileNode::Kind::kLink;
      node->changed = true;
      node->target = done.passed.paths[0];
      tree_.put(absolute(done, 1), std::move(node));
      return true;
    }
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rmdir:
      tree_.remove(absolute(done, 0));
      return true;
    case SYS_mkdir:
    case SYS_mkdirat: {
      auto node = std::make_shared<FileNode>();
      node->kind = FileNode::Kind::kDirectory;
      node->changed = true;
      uint64_t mode = done.argument(done.call.number == SYS_mkdir ? 1 : 2);
      node->mode = mode & 07777 & ~done.task.context->mask;
      tree_.put(absolute(done, 0), std::move(node));
      return true;
    }
    case SYS_mknod:
      made(done, done.argument(1));
      return true;
    case SYS_mknodat:
      made(done, done.argument(2));
      return true;
    case SYS_chmod:
      if (auto node = tree_.find(absolute(done, 0))) node->mode = done.argument(1) & 07777;
      return true;
    case SYS_fchmodat:
    case syscalls::kFchmodat2:
      if (auto node = tree_.find(absolute(done, 0))) node->mode = done.argument(2) & 07777;
      return true;
    case SYS_fchmod:
      if (auto file = done.file(0); file && file->node) {
        file->node->mode = done.argument(1) & 07777;
      }
      return true;
    case SYS_truncate: {
      std::string path = absolute(done, 0);
      auto node = tree_.find(path);
      if (!node) {
        node = std::make_shared<FileNode>();
        node->inexact = done.argument(1) != 0;
        tree_.put(path, node);
      }
      node->content.resize(done.argument(1));
      node->changed = true;
      return true;
    }
    default:
      return false;
  }
}

void Materializer::Impl::linked(const Done& done) {
  std::string to = absolute(done, 1);
  auto node = nodeBehindDescriptorPath(done);
  std::string from = absolute(done, 0);
  if (!node) node = tree_.find(from);
  if (node) {
    tree_.put(to, std::move(node));
  } else {
    tree_.markMissing(to, "it is older than the session, and was linked from " + from);
  }
}

// An open file without a name gets one by its descriptor: AT_EMPTY_PATH or /proc/self/fd/N
// (openat(2), O_TMPFILE).
std::shared_ptr<FileNode> Materializer::Impl::nodeBehindDescriptorPath(const Done& done) const {
  constexpr std::string_view kPrefix = "/proc/self/fd/";
  if (done.call.number != SYS_linkat) return nullptr;
  const std::string& path = done.passed.paths[0];
  std::shared_ptr<FileDescription> file;
  if (path.empty()) {
    file = done.file(0);
  } else if (path.starts_with(kPrefix) && path.size() < kPrefix.size() + 10) {
    file = done.task.table->find(std::atoi(path.c_str() + kPrefix.size()));
  }
  return file ? file->node : nullptr;
}

void Materializer::Impl::made(const Done& done, uint64_t mode) {
  std::string path = absolute(done, 0);
  if ((mode & S_IFMT) != 0 && !S_ISREG(mode)) {
    tree_.markMissing(path, "it is a device, a socket or a FIFO");
    return;
  }
  auto node = std::make_shared<FileNode>();
  node->changed = true;
  node->mode = mode & 07777 & ~done.task.context->mask;
  tree_.put(path, std::move(node));
}

// The path that a call names in its first or second place. The mediator's word on the first comes
// before the tracee's, but for symlinks, whose first is no path but a text.
std::string Materializer::Impl::absolute(const Done& done, int which) const {
  if (which == 0 && done.path.starts_with('/')) return tree_.resolve(done.path);
  const std::string& path = done.passed.paths[which];
  if (path.starts_with('/')) return tree_.resolve(path);
  const PathArguments* row = pathArgumentsOf(done.call.number);
  std::string base = done.task.context->directory;
  if (row && row->directory[which] != kNoArgument) {
    int directory = done.fd(row->directory[which]);
    if (auto file = done.task.table->find(directory); directory != AT_FDCWD && file) {
      base = file->path;
    }
  }
  return tree_.resolve(base + '/' + path);
}

// --- public ---

Materializer::Materializer(ReadBlob readBlob, std::string directory)
    : impl_(std::make_unique<Impl>(std::move(readBlob), std::move(directory))) {}
Materializer::~Materializer() = default;

void Materializer::observe(const schema::Event::Reader& event, syscalls::MemoryReader& memory) {
  impl_->observe(event, memory);
}

void Materializer::sharedContent(uint32_t object, std::span<const uint8_t> content) {
  impl_->sharedContent(object, content);
}

MaterializeResult Materializer::writeTo(const std::string& directory) const {
  return impl_->writeTo(directory);
}

}  // namespace airr
