#include "storage/html.hpp"

#include <gumbo.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace troupe::storage {

namespace {

template <std::size_t size>
bool one_of(const std::array<GumboTag, size>& tags, GumboTag tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

constexpr std::array unseen = {GUMBO_TAG_HEAD,     GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE,    GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE,
                               GUMBO_TAG_TEXTAREA, GUMBO_TAG_SELECT, GUMBO_TAG_OBJECT,   GUMBO_TAG_IFRAME,   GUMBO_TAG_SVG,
                               GUMBO_TAG_MATH,     GUMBO_TAG_CANVAS, GUMBO_TAG_DATALIST, GUMBO_TAG_AUDIO,    GUMBO_TAG_VIDEO};
/// What stands in a line. Anything else begins a new one.
constexpr std::array in_line = {GUMBO_TAG_A,    GUMBO_TAG_ABBR, GUMBO_TAG_B,    GUMBO_TAG_BDI,    GUMBO_TAG_BDO,
                                GUMBO_TAG_CITE, GUMBO_TAG_CODE, GUMBO_TAG_DATA, GUMBO_TAG_DFN,    GUMBO_TAG_DEL,
                                GUMBO_TAG_EM,   GUMBO_TAG_FONT, GUMBO_TAG_I,    GUMBO_TAG_INS,    GUMBO_TAG_KBD,
                                GUMBO_TAG_MARK, GUMBO_TAG_Q,    GUMBO_TAG_S,    GUMBO_TAG_SAMP,   GUMBO_TAG_SMALL,
                                GUMBO_TAG_SPAN, GUMBO_TAG_SUB,  GUMBO_TAG_SUP,  GUMBO_TAG_STRONG, GUMBO_TAG_TIME,
                                GUMBO_TAG_TT,   GUMBO_TAG_U,    GUMBO_TAG_VAR,  GUMBO_TAG_WBR};
/// Elements that have no end, so that they never stand open.
constexpr std::array<std::string_view, 14> without_end = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                                          "input", "link", "meta", "param", "source", "track", "wbr"};

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_letter(char c) { return small(c) >= 'a' && small(c) <= 'z'; }

/// At least how deep elements stand open in each other, if every one that may have an end has one.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at + 1)) {
    std::string_view rest = text.substr(at + 1);
    if (rest.starts_with('/')) {
      depth -= depth > 0 ? 1 : 0;
      continue;
    }
    std::string name;
    while (!rest.empty() && (is_letter(rest.front()) || (!name.empty() && rest.front() >= '0' && rest.front() <= '9')) &&
           name.size() < 16) {
      name += small(rest.front());
      rest.remove_prefix(1);
    }
    if (name.empty() || std::find(without_end.begin(), without_end.end(), name) != without_end.end()) continue;
    deepest = std::max(deepest, ++depth);
  }
  return deepest;
}

/// Collects headings and lines.
class Lines {
 public:
  explicit Lines(std::string& out) : out_(out) {}

  void add(std::string_view text) {
    for (const char c : text) {
      const bool white = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
      if (!white) {
        line_ += c;
      } else if (!line_.empty() && line_.back() != ' ') {
        line_ += ' ';
      }
    }
  }
  /// What was added becomes a line; `level` of a heading, 0: of text.
  void end(std::size_t level = 0) {
    while (line_.ends_with(' ')) line_.pop_back();
    // A text that would begin a fence or a heading in Markdown loses its marks, or has a space before it.
    const std::size_t marks = level > 0 ? 0 : line_.find_first_not_of("`~");
    if (marks != 0 && marks != std::string::npos && marks >= 3) line_.erase(0, marks);
    if (!line_.empty()) out_ += (level > 0 ? std::string(level, '#') : std::string()) + " " + line_ + "\n";
    line_.clear();
  }

 private:
  std::string& out_;
  std::string line_;
};

/// 1 to 6; 0: no heading.
std::size_t level_of(GumboTag tag) {
  return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? static_cast<std::size_t>(tag - GUMBO_TAG_H1) + 1 : 0;
}

std::string title_of(const GumboNode& root) {
  std::vector<const GumboNode*> left{&root};
  while (!left.empty()) {
    const GumboNode& node = *left.back();
    left.pop_back();
    if (node.type != GUMBO_NODE_ELEMENT) continue;
    const GumboVector& children = node.v.element.children;
    if (node.v.element.tag == GUMBO_TAG_TITLE && children.length > 0) {
      const auto* text = static_cast<const GumboNode*>(children.data[0]);
      if (text->type == GUMBO_NODE_TEXT || text->type == GUMBO_NODE_WHITESPACE) return text->v.text.text;
    }
    if (node.v.element.tag == GUMBO_TAG_BODY) continue;
    for (unsigned i = children.length; i > 0; --i) left.push_back(static_cast<const GumboNode*>(children.data[i - 1]));
  }
  return {};
}

/// In the order of the document; without recursion, since the depth is the page's choice.
void walk(const GumboNode& root, Lines& lines) {
  struct Step {
    const GumboNode* node;
    bool leaving;
  };
  std::vector<Step> left{{&root, false}};
  while (!left.empty()) {
    const auto [node, leaving] = left.back();
    left.pop_back();
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA || node->type == GUMBO_NODE_WHITESPACE) {
      lines.add(node->v.text.text);
    }
    if (node->type != GUMBO_NODE_ELEMENT) continue;
    const GumboElement& element = node->v.element;
    if (one_of(unseen, element.tag)) continue;
    if (!one_of(in_line, element.tag)) lines.end(leaving ? level_of(element.tag) : 0);
    if (leaving) continue;
    left.push_back({node, true});
    for (unsigned i = element.children.length; i > 0; --i) {
      left.push_back({static_cast<const GumboNode*>(element.children.data[i - 1]), false});
    }
  }
}

}  // namespace

Result<std::string> markdown_of_html(std::string_view text, std::string_view stem) {
  if (const std::size_t depth = depth_of(text); depth > html_depth_max) {
    return Error{ErrorCode::too_large, "elements stand open in " + std::to_string(depth) + " others, expected at most " +
                                           std::to_string(html_depth_max) + "; close them"};
  }
  const auto close = [](GumboOutput* output) { gumbo_destroy_output(&kGumboDefaultOptions, output); };
  const std::unique_ptr<GumboOutput, decltype(close)> output(
      gumbo_parse_with_options(&kGumboDefaultOptions, text.data(), text.size()), close);
  if (!output) return Error{ErrorCode::corrupt, "this cannot be read as HTML"};
  std::string markdown;
  Lines lines(markdown);
  lines.add(title_of(*output->root));
  lines.end(1);
  if (markdown.empty()) markdown = "# " + std::string(stem) + "\n";
  walk(*output->root, lines);
  lines.end();
  return markdown;
}

}  // namespace troupe::storage
