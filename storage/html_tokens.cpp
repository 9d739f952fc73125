#include "storage/html_tokens.hpp"

#include <algorithm>

namespace troupe::storage {

namespace {

constexpr std::string_view white = " \t\n\f\r";

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_letter(char c) { return small(c) >= 'a' && small(c) <= 'z'; }
bool ends_name(char c) { return c == '/' || c == '>' || white.find(c) != std::string_view::npos; }

/// Whether there is "<name" or "</name" in front, as `begin` says, and the name ends there.
bool names(std::string_view text, std::string_view begin, std::string_view name) {
  const std::size_t size = begin.size() + name.size();
  return text.size() > size && text.starts_with(begin) && ends_name(text[size]) &&
         is_in_any_case(text.substr(begin.size(), name.size()), name);
}

/// Where the end tag of a script stands. What is commented out within it may have a script, with an end tag, of its own.
std::size_t end_of_script(std::string_view text) {
  constexpr std::string_view script = "script";
  bool commented = false;
  bool nested = false;
  for (std::size_t at = text.find_first_of("<-"); at != std::string_view::npos; at = text.find_first_of("<-", at + 1)) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("-->")) commented = nested = false;
    if (rest.starts_with("<!--")) commented = true;
    if (commented && names(rest, "<", script)) nested = true;
    if (!names(rest, "</", script)) continue;
    if (!nested) return at;
    nested = false;
  }
  return text.size();
}

}  // namespace

bool is_in_any_case(std::string_view text, std::string_view small_letters) {
  return std::ranges::equal(text, small_letters, [](char a, char b) { return small(a) == b; });
}

bool HtmlTokens::next(HtmlToken& token, bool foreign) {
  while (!rest_.empty()) {
    const char second = rest_.size() > 1 && rest_.front() == '<' ? rest_[1] : '\0';
    if (is_letter(second) || (second == '/' && rest_.size() > 2 && is_letter(rest_[2]))) return take_tag(token);
    if (rest_.starts_with("<!--")) {
      skip_comment();
    } else if (foreign && rest_.starts_with("<![CDATA[")) {
      skip_through("]]>");
    } else if (second == '!' || second == '?' || (second == '/' && rest_.size() > 2)) {
      skip_through(">");
    } else {
      token.kind = HtmlToken::Kind::text;
      token.text = rest_.substr(0, rest_.find('<', 1));  // a "<" that begins no tag is text
      rest_.remove_prefix(token.text.size());
      return true;
    }
  }
  return false;
}

std::string_view HtmlTokens::take_text(std::string_view name) {
  std::size_t end = rest_.size();
  if (name == "script") {
    end = end_of_script(rest_);
  } else if (name != "plaintext") {  // which nothing ends
    end = rest_.find("</");
    while (end != std::string_view::npos && !names(rest_.substr(end), "</", name)) end = rest_.find("</", end + 1);
  }
  const std::string_view text = rest_.substr(0, end);
  rest_.remove_prefix(text.size());
  HtmlToken ignored;
  if (!rest_.empty()) take_tag(ignored);
  return text;
}

void HtmlTokens::skip_comment() {
  rest_.remove_prefix(4);
  if (rest_.starts_with('>') || rest_.starts_with("->")) return skip_through(">");
  std::size_t at = rest_.find("--");
  const auto ends = [&](std::string_view end) { return rest_.substr(at + 2).starts_with(end); };
  while (at != std::string_view::npos && !ends(">") && !ends("!>")) at = rest_.find("--", at + 1);
  rest_.remove_prefix(std::min(at, rest_.size()));
  skip_through(">");
}

void HtmlTokens::skip_through(std::string_view mark) {
  const std::size_t at = rest_.find(mark);
  rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + mark.size());
}

bool HtmlTokens::take_tag(HtmlToken& token) {
  const std::size_t begin = rest_[1] == '/' ? 2 : 1;
  token.kind = begin == 2 ? HtmlToken::Kind::end : HtmlToken::Kind::start;
  std::size_t end = begin;
  while (end < rest_.size() && !ends_name(rest_[end])) ++end;
  token.name.resize(end - begin);
  std::ranges::transform(rest_.substr(begin, end - begin), token.name.begin(), small);
  token.attributes.clear();
  token.closes_itself = false;
  if (take_attributes(end, token)) return true;
  rest_ = {};
  return false;
}

/// From a place in the tag on, to behind its end; false if there is none.
bool HtmlTokens::take_attributes(std::size_t at, HtmlToken& token) {
  const auto skip_white = [&] { at = std::min(rest_.find_first_not_of(white, at), rest_.size()); };
  while (at < rest_.size()) {
    if (rest_[at] == '>') {
      rest_.remove_prefix(at + 1);
      return true;
    }
    if (ends_name(rest_[at])) {
      token.closes_itself = rest_.substr(at).starts_with("/>");
      ++at;
      continue;
    }
    const std::size_t begin = at;  // a "=" here is the first character of a name
    do {
      ++at;
    } while (at < rest_.size() && !ends_name(rest_[at]) && rest_[at] != '=');
    HtmlAttribute& attribute = token.attributes.emplace_back(HtmlAttribute{rest_.substr(begin, at - begin), {}});
    skip_white();
    if (at == rest_.size() || rest_[at] != '=') continue;
    ++at;
    skip_white();
    if (at == rest_.size() || rest_[at] == '>') continue;
    const char quote = rest_[at];
    const bool quoted = quote == '"' || quote == '\'';
    const std::size_t value = quoted ? at + 1 : at;
    at = quoted ? rest_.find(quote, value) : rest_.find_first_of(" \t\n\f\r>", value);
    if (at == std::string_view::npos) return false;
    attribute.value = rest_.substr(value, at - value);
    at += quoted ? 1 : 0;
  }
  return false;
}

}  // namespace troupe::storage
