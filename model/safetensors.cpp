#include "model/safetensors.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "model/json.hpp"

namespace troupe::model {

namespace {

constexpr std::size_t prefix_bytes = 8;

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr DTypeRow dtype_rows[] = {
    {DType::boolean, "BOOL", 1},    {DType::u8, "U8", 1},   {DType::i8, "I8", 1},   {DType::f8_e4m3, "F8_E4M3", 1},
    {DType::f8_e5m2, "F8_E5M2", 1}, {DType::u16, "U16", 2}, {DType::i16, "I16", 2}, {DType::f16, "F16", 2},
    {DType::bf16, "BF16", 2},       {DType::u32, "U32", 4}, {DType::i32, "I32", 4}, {DType::f32, "F32", 4},
    {DType::u64, "U64", 8},         {DType::i64, "I64", 8}, {DType::f64, "F64", 8},
};

const DTypeRow& row_of(DType dtype) { return dtype_rows[static_cast<std::size_t>(dtype)]; }

std::string range_text(std::size_t begin, std::size_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + "]";
}

}  // namespace

std::string_view to_string(DType dtype) { return row_of(dtype).name; }
std::size_t element_bytes(DType dtype) { return row_of(dtype).bytes; }

std::string describe(const TensorView& tensor) {
  std::string text(to_string(tensor.dtype));
  text += " [";
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(tensor.shape[axis]);
  }
  return text + "]";
}

/// Reads the header of one file.
class TensorTable::Reader {
 public:
  Reader(std::span<const std::byte> file, std::string_view file_name) : file_(file), file_name_(file_name) {}

  Result<TensorTable> read() {
    TROUPE_TRY(const std::size_t header_bytes, header_length());
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + prefix_bytes, header_bytes);
    TensorTable table;
    table.file_name_ = file_name_;
    table.data_ = file_.subspan(prefix_bytes + header_bytes);
    data_bytes_ = table.data_.size();
    TROUPE_TRY(const auto document, parse_json(text, file_name_ + ": header", safetensors_header_bytes_max));
    TROUPE_TRY(const auto root, JsonObject::of(document, file_name_ + ": header"));
    for (const auto& [name, value] : document.items()) {
      if (name == "__metadata__") {
        TROUPE_TRY_DO(check_metadata(root));
      } else {
        TROUPE_TRY(auto entry, read_entry(root, name));
        table.entries_.push_back(std::move(entry));  // the document's objects are ordered by key, so entries are too
      }
    }
    TROUPE_TRY_DO(check_cover(table.entries_));
    return table;
  }

 private:
  Error corrupt(const std::string& what) const { return Error{ErrorCode::corrupt, file_name_ + ": " + what}; }

  Result<std::size_t> header_length() const {
    if (file_.size() < prefix_bytes) {
      return corrupt("is " + std::to_string(file_.size()) + " bytes long, expected at least the 8 of the header's length");
    }
    constexpr std::string_view pointer = "version https://git-lfs";
    if (std::string_view(reinterpret_cast<const char*>(file_.data()), file_.size()).starts_with(pointer)) {
      return corrupt("is Git LFS's pointer to a file and not the file; fetch that in its checkout with \"git lfs pull\"");
    }
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < prefix_bytes; ++i) length |= std::to_integer<std::uint64_t>(file_[i]) << (8 * i);
    if (length > safetensors_header_bytes_max) {
      return Error{ErrorCode::too_large, file_name_ + ": claims a header of " + std::to_string(length) + " bytes, at most " +
                                             std::to_string(safetensors_header_bytes_max) + " are accepted"};
    }
    if (length > file_.size() - prefix_bytes) {
      return corrupt("claims a header of " + std::to_string(length) + " bytes, but only " +
                     std::to_string(file_.size() - prefix_bytes) + " follow: the file is truncated");
    }
    if (length == 0 || file_[prefix_bytes] != std::byte{'{'}) return corrupt("the header does not begin with '{'");
    return static_cast<std::size_t>(length);
  }

  Result<void> check_metadata(const JsonObject& root) const {
    TROUPE_TRY(const auto metadata, root.object("__metadata__"));
    for (const auto& [key, value] : metadata.value().items()) {
      if (!value.is_string()) return metadata.unexpected(key, "a string");
    }
    return {};
  }

  Result<Entry> read_entry(const JsonObject& root, const std::string& name) const {
    if (name.size() > tensor_name_bytes_max) {
      return Error{ErrorCode::too_large, file_name_ + ": a tensor's name has " + std::to_string(name.size()) +
                                             " bytes, at most " + std::to_string(tensor_name_bytes_max) + " are accepted"};
    }
    constexpr auto integer_max = std::numeric_limits<std::int64_t>::max();
    TROUPE_TRY(const auto object, root.object(name));
    Entry entry;
    entry.name = name;
    TROUPE_TRY(const auto dtype, object.string("dtype"));
    const auto* row =
        std::find_if(std::begin(dtype_rows), std::end(dtype_rows), [&](const auto& r) { return r.name == dtype; });
    if (row == std::end(dtype_rows)) {
      return object.unexpected("dtype", "a type of whole bytes, such as \"BF16\" or \"F32\"", ErrorCode::unsupported);
    }
    entry.dtype = row->dtype;
    TROUPE_TRY(entry.shape, object.integers("shape", tensor_rank_max, 0, integer_max));
    TROUPE_TRY(const auto offsets, object.integers("data_offsets", 2, 0, integer_max));
    if (offsets.size() != 2) return object.unexpected("data_offsets", "two offsets");
    entry.begin = static_cast<std::size_t>(offsets[0]);
    entry.end = static_cast<std::size_t>(offsets[1]);
    TROUPE_TRY_DO(check_extent(entry));
    return entry;
  }

  Result<void> check_extent(const Entry& entry) const {
    const std::string where = "tensor \"" + entry.name + "\": data_offsets " + range_text(entry.begin, entry.end);
    if (entry.begin > entry.end) return corrupt(where + " end before they begin");
    if (entry.end > data_bytes_) {
      return corrupt(where + " reach past the data, which has " + std::to_string(data_bytes_) +
                     " bytes: the file is truncated or the header wrong");
    }
    const TensorView view{entry.dtype, entry.shape, {}};
    std::size_t bytes = element_bytes(entry.dtype);
    bool overflow = false;
    for (const std::int64_t size : entry.shape) {
      overflow |= __builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes);
    }
    if (overflow) return corrupt("tensor \"" + entry.name + "\": shape of " + describe(view) + " is more than 2^64 bytes");
    if (bytes != entry.end - entry.begin) {
      return corrupt(where + " hold " + std::to_string(entry.end - entry.begin) + " bytes, but " + describe(view) + " takes " +
                     std::to_string(bytes));
    }
    return {};
  }

  /// The format's rule: the tensors cover the data section, each byte once.
  Result<void> check_cover(const std::vector<Entry>& entries) const {
    std::vector<const Entry*> order;
    order.reserve(entries.size());
    for (const Entry& entry : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(),
              [](const Entry* a, const Entry* b) { return a->begin != b->begin ? a->begin < b->begin : a->end < b->end; });
    std::size_t reached = 0;
    std::string_view before = "the data's beginning";
    for (const Entry* entry : order) {
      if (entry->begin != reached) {
        return corrupt("tensor \"" + entry->name + "\": data_offsets " + range_text(entry->begin, entry->end) +
                       (entry->begin < reached ? " overlap" : " leave a gap after") + " \"" + std::string(before) +
                       "\", which ends at " + std::to_string(reached));
      }
      reached = entry->end;
      before = entry->name;
    }
    if (reached != data_bytes_) {
      return corrupt("the tensors end at byte " + std::to_string(reached) + " of the data, which has " +
                     std::to_string(data_bytes_) + " bytes: the file is damaged or has something appended");
    }
    return {};
  }

  std::span<const std::byte> file_;
  std::string file_name_;
  std::size_t data_bytes_ = 0;
};

Result<TensorTable> TensorTable::parse(std::span<const std::byte> file, std::string_view file_name) {
  return Reader(file, file_name).read();
}

std::vector<std::string_view> TensorTable::names() const {
  std::vector<std::string_view> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.emplace_back(entry.name);
  return names;
}

Result<TensorView> TensorTable::find(std::string_view name) const {
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), name,
                                      [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; });
  if (place == entries_.end() || place->name != name) {
    return Error{ErrorCode::not_found, file_name_ + ": has no tensor \"" + std::string(name) + "\""};
  }
  return TensorView{place->dtype, place->shape, data_.subspan(place->begin, place->end - place->begin)};
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  TROUPE_TRY(auto file, MappedFile::open(path));
  TROUPE_TRY(auto tensors, TensorTable::parse(file.bytes(), path.string()));
  return SafetensorsFile(std::move(file), std::move(tensors));
}

}  // namespace troupe::model
