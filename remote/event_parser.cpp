#include "remote/event_parser.hpp"

#include <utility>

namespace troupe::remote {

namespace {

Error too_large(std::string_view what, std::size_t limit) {
  return {ErrorCode::too_large, "the endpoint sent " + std::string(what) + " of more than " + std::to_string(limit) + " bytes"};
}

}  // namespace

Result<void> EventParser::feed(std::string_view bytes, const std::function<Result<void>(const ServerEvent&)>& take) {
  while (!bytes.empty()) {
    if (after_return_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_return_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > line_bytes_max) return too_large("a line", line_bytes_max);
    line_ += part;
    if (end == std::string_view::npos) return {};
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    TROUPE_TRY_DO(end_line(take));
  }
  return {};
}

Result<void> EventParser::end_line(const std::function<Result<void>(const ServerEvent&)>& take) {
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  if (line.empty()) {
    line_.clear();
    ServerEvent event = std::exchange(event_, {});
    if (!std::exchange(has_data_, false)) return {};
    if (event.name.empty()) event.name = "message";
    return take(event);
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (event_.data.size() + value.size() + 1 > event_bytes_max) return too_large("an event", event_bytes_max);
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  // Comments, "id", "retry" and what is not known mean nothing here.
  line_.clear();
  return {};
}

}  // namespace troupe::remote
