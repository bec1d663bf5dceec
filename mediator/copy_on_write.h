// A value that copies share until one of them is changed: most of what the child of a fork begins with never is.
//
// Ownership: shared by the copies. One thread. Fails only for want of memory.
#pragma once

#include <memory>

namespace airr {

template <class Value>
class CopyOnWrite {
 public:
  const Value& operator*() const { return *value_; }
  const Value* operator->() const { return value_.get(); }
  // What it gives is good until the next copy is made.
  Value& change() {
    if (value_.use_count() > 1) value_ = std::make_shared<Value>(*value_);
    return *value_;
  }

 private:
  std::shared_ptr<Value> value_ = std::make_shared<Value>();
};

}  // namespace airr
