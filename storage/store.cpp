#include "storage/store.hpp"

namespace troupe::storage {

std::string_view to_string(Column column) {
  switch (column) {
    case Column::meta: return "meta";
    case Column::conversations: return "conversations";
    case Column::leases: return "leases";
    case Column::corpus: return "corpus";
    case Column::shadows: return "shadows";
  }
  return "unknown";
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace troupe::storage
