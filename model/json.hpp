// JSON from files that nobody has checked: parsing under limits, and fields read by type with errors that name the file, the
// field, what was seen and what was expected. The library's large header is needed only by .cpp files that walk values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::model {

inline constexpr int json_depth_max = 64;

/// Parses `text`; `file` is only named in errors. Refused: more than `bytes_max` bytes (`too_large`), malformed JSON with the
/// byte offset, invalid UTF-8, a key given twice in one object (`corrupt`), nesting deeper than `depth_max` (`too_large`).
/// A parsed document takes up to about thirty times its text in memory, so `bytes_max` bounds that too.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view file, std::size_t bytes_max,
                                  int depth_max = json_depth_max);

/// A value as an error message shows it: a number or a short string as such, otherwise its kind and size.
std::string describe(const nlohmann::json& value);

/// A JSON object and where it stands. Borrows the document, which must outlive it. A field that is null counts as absent, as
/// Hugging Face files use it.
class JsonObject {
 public:
  /// The document's root, or an element that the caller took out of an array; `path` is put in front of field names.
  static Result<JsonObject> of(const nlohmann::json& value, std::string_view file, std::string path = "");

  bool has(std::string_view field) const { return find(field) != nullptr; }
  /// The field's value, or nullptr if it is absent or null.
  const nlohmann::json* find(std::string_view field) const;

  /// `low` and `high` are both included. A number with a fraction or an exponent is not an integer.
  Result<std::int64_t> integer(std::string_view field, std::int64_t low, std::int64_t high) const;
  Result<std::int64_t> integer_or(std::string_view field, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  Result<double> number(std::string_view field, double low, double high) const;
  Result<double> number_or(std::string_view field, double fallback, double low, double high) const;
  Result<bool> boolean(std::string_view field) const;
  Result<bool> boolean_or(std::string_view field, bool fallback) const;
  /// The view borrows the document.
  Result<std::string_view> string(std::string_view field, std::size_t bytes_max = 4096) const;
  Result<std::string_view> string_or(std::string_view field, std::string_view fallback, std::size_t bytes_max = 4096) const;
  Result<JsonObject> object(std::string_view field) const;
  /// The array itself, of at most `size_max` elements; never nullptr.
  Result<const nlohmann::json*> array(std::string_view field, std::size_t size_max) const;
  Result<std::vector<std::int64_t>> integers(std::string_view field, std::size_t size_max, std::int64_t low,
                                             std::int64_t high) const;

  const nlohmann::json& value() const { return *value_; }
  const std::string& file() const { return file_; }
  /// "model.vocab": the field with the path of the object before it.
  std::string path_of(std::string_view field) const;

  /// "FILE: FIELD is SEEN, expected EXPECTED", for checks that only the caller can make; `not_found` if the field is absent,
  /// otherwise `code`.
  Error unexpected(std::string_view field, std::string_view expected, ErrorCode code = ErrorCode::invalid_argument) const;

 private:
  JsonObject(const nlohmann::json& value, std::string file, std::string path)
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const nlohmann::json* value_;
  std::string file_;
  std::string path_;
};

}  // namespace troupe::model
