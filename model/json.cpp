#include "model/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

using Json = nlohmann::json;

constexpr std::size_t shown_bytes_max = 80;
constexpr std::size_t syntax_error_bytes_max = 300;

// Builds the document as the library's parser reports its pieces. The parser itself keeps an explicit stack, but the values it
// makes are copied and printed by recursion, so the depth is limited here, and keys that come twice are noticed.
class DocumentBuilder : public nlohmann::json_sax<Json> {
 public:
  DocumentBuilder(std::string_view file, int depth_max) : file_(file), depth_max_(depth_max) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*digits*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    auto [place, is_new] = open_.back()->get_ref<Json::object_t&>().try_emplace(name);
    if (!is_new) {
      error_ = Error{ErrorCode::corrupt, file_ + ": key " + describe(Json(name)) + " is given twice in one object"};
      return false;
    }
    slot_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& exception) override {
    std::string text = exception.what();  // "[json.exception.parse_error.101] parse error at ...: syntax error ..."
    if (const auto end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
    // Its line and column count from where the text begins, which in a file of lines is one of them.
    if (const auto end = text.find(": "); text.starts_with("parse error at line ") && end != std::string::npos)
      text.erase(0, end + 2);
    text.resize(std::min(text.size(), syntax_error_bytes_max));
    std::string shown_text = file_ + ": not valid JSON at byte " + std::to_string(position) + ": ";
    take_utf8(text, shown_text);  // the library quotes what it read, which may end within a character
    error_ = Error{ErrorCode::invalid_argument, std::move(shown_text)};
    return false;
  }

  Json root;
  std::optional<Error> take_error() { return std::move(error_); }

 private:
  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  Json* place(Json value) {
    if (open_.empty()) return &(root = std::move(value));
    if (open_.back()->is_array()) {
      auto& elements = open_.back()->get_ref<Json::array_t&>();
      elements.push_back(std::move(value));
      return &elements.back();
    }
    return &(*slot_ = std::move(value));
  }

  bool open(Json value) {
    if (open_.size() >= static_cast<std::size_t>(depth_max_)) {
      error_ = Error{ErrorCode::too_large, file_ + ": nested deeper than " + std::to_string(depth_max_) + " levels"};
      return false;
    }
    // Addresses stay valid while a container is open: maps never move their values, and a list with an open child does not
    // grow.
    open_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string file_;
  int depth_max_;
  std::vector<Json*> open_;
  Json* slot_ = nullptr;  // where the value of the last key goes
  std::optional<Error> error_;
};

std::string quoted_field(std::string_view path) {
  return path.size() <= shown_bytes_max ? std::string(path) : std::string(utf8_prefix(path, shown_bytes_max)) + "...";
}

std::string shown(double value) {
  std::string text = Json(value).dump();
  return text;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view file, std::size_t bytes_max, int depth_max) {
  if (text.size() > bytes_max) {
    return Error{ErrorCode::too_large, std::string(file) + ": " + std::to_string(text.size()) + " bytes of JSON, at most " +
                                           std::to_string(bytes_max) + " are accepted"};
  }
  DocumentBuilder builder(file, depth_max);
  try {
    if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
      auto error = builder.take_error();
      return error ? *std::move(error) : Error{ErrorCode::invalid_argument, std::string(file) + ": not valid JSON"};
    }
  } catch (const Json::exception& exception) {
    return Error{ErrorCode::invalid_argument, std::string(file) + ": not valid JSON: " + exception.what()};
  }
  return std::move(builder.root);
}

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object: return "an object of " + std::to_string(value.size()) + " fields";
    case Json::value_t::array: return "a list of " + std::to_string(value.size()) + " values";
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      const auto replace = Json::error_handler_t::replace;
      if (text.size() <= shown_bytes_max) return value.dump(-1, ' ', false, replace);
      return Json(utf8_prefix(text, shown_bytes_max)).dump(-1, ' ', false, replace) + "... (" + std::to_string(text.size()) +
             " bytes)";
    }
    default: return value.dump();
  }
}

Result<JsonObject> JsonObject::of(const Json& value, std::string_view file, std::string path) {
  if (!value.is_object()) {
    return Error{ErrorCode::invalid_argument, std::string(file) + ": " + (path.empty() ? "the document" : quoted_field(path)) +
                                                  " is " + describe(value) + ", expected an object"};
  }
  return JsonObject(value, std::string(file), std::move(path));
}

const Json* JsonObject::find(std::string_view field) const {
  const auto place = value_->find(std::string(field));
  return place == value_->end() || place->is_null() ? nullptr : &*place;
}

std::string JsonObject::path_of(std::string_view field) const {
  return path_.empty() ? std::string(field) : path_ + "." + std::string(field);
}

Error JsonObject::unexpected(std::string_view field, std::string_view expected, ErrorCode code) const {
  const Json* seen = find(field);
  return Error{seen == nullptr ? ErrorCode::not_found : code, file_ + ": " + quoted_field(path_of(field)) + " is " +
                                                                  (seen == nullptr ? "missing" : describe(*seen)) +
                                                                  ", expected " + std::string(expected)};
}

Result<std::int64_t> JsonObject::integer(std::string_view field, std::int64_t low, std::int64_t high) const {
  const Json* value = find(field);
  const std::string expected = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (value == nullptr || !value->is_number_integer()) return unexpected(field, expected);
  const bool fits = !value->is_number_unsigned() || std::in_range<std::int64_t>(value->get<std::uint64_t>());
  const std::int64_t number = fits ? value->get<std::int64_t>() : 0;
  if (!fits || number < low || number > high) return unexpected(field, expected, ErrorCode::out_of_range);
  return number;
}

Result<std::int64_t> JsonObject::integer_or(std::string_view field, std::int64_t fallback, std::int64_t low,
                                            std::int64_t high) const {
  if (!has(field)) return fallback;
  return integer(field, low, high);
}

Result<double> JsonObject::number(std::string_view field, double low, double high) const {
  const Json* value = find(field);
  const std::string expected = "a number from " + shown(low) + " to " + shown(high);
  if (value == nullptr || !value->is_number()) return unexpected(field, expected);
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) return unexpected(field, expected, ErrorCode::out_of_range);
  return number;
}

Result<double> JsonObject::number_or(std::string_view field, double fallback, double low, double high) const {
  if (!has(field)) return fallback;
  return number(field, low, high);
}

Result<bool> JsonObject::boolean(std::string_view field) const {
  const Json* value = find(field);
  if (value == nullptr || !value->is_boolean()) return unexpected(field, "true or false");
  return value->get<bool>();
}

Result<bool> JsonObject::boolean_or(std::string_view field, bool fallback) const {
  if (!has(field)) return fallback;
  return boolean(field);
}

Result<std::string_view> JsonObject::string(std::string_view field, std::size_t bytes_max) const {
  const Json* value = find(field);
  if (value == nullptr || !value->is_string()) return unexpected(field, "a string");
  const std::string& text = value->get_ref<const std::string&>();
  if (text.size() > bytes_max) {
    return unexpected(field, "a string of at most " + std::to_string(bytes_max) + " bytes", ErrorCode::too_large);
  }
  return std::string_view(text);
}

Result<std::string_view> JsonObject::string_or(std::string_view field, std::string_view fallback, std::size_t bytes_max) const {
  if (!has(field)) return fallback;
  return string(field, bytes_max);
}

Result<JsonObject> JsonObject::object(std::string_view field) const {
  const Json* value = find(field);
  if (value == nullptr || !value->is_object()) return unexpected(field, "an object");
  return JsonObject(*value, file_, path_of(field));
}

Result<const Json*> JsonObject::array(std::string_view field, std::size_t size_max) const {
  const Json* value = find(field);
  if (value == nullptr || !value->is_array()) return unexpected(field, "a list");
  if (value->size() > size_max) {
    return unexpected(field, "a list of at most " + std::to_string(size_max) + " values", ErrorCode::too_large);
  }
  return value;
}

Result<std::vector<std::int64_t>> JsonObject::integers(std::string_view field, std::size_t size_max, std::int64_t low,
                                                       std::int64_t high) const {
  TROUPE_TRY(const Json* list, array(field, size_max));
  std::vector<std::int64_t> numbers;
  numbers.reserve(list->size());
  for (const Json& element : *list) {
    const bool fits = element.is_number_integer() &&
                      (!element.is_number_unsigned() || std::in_range<std::int64_t>(element.get<std::uint64_t>()));
    const std::int64_t number = fits ? element.get<std::int64_t>() : 0;
    if (!fits || number < low || number > high) {
      return Error{ErrorCode::out_of_range, file_ + ": " + quoted_field(path_of(field)) + "[" + std::to_string(numbers.size()) +
                                                "] is " + describe(element) + ", expected an integer from " +
                                                std::to_string(low) + " to " + std::to_string(high)};
    }
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace troupe::model
