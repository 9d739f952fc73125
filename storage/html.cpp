#include "storage/html.hpp"

#include <gumbo.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/html_elements.hpp"
#include "storage/html_tokens.hpp"

namespace troupe::storage {

namespace {

constexpr std::string_view white = " \t\n\r\f\v";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// What stands between two texts of a page. Of a line's end, `level` is that of the heading that it ends, 0: it ends a text.
struct Mark {
  enum class Kind { nothing, space, line_end, raised, lowered };
  Kind kind = Kind::nothing;
  std::size_t level = 0;
};

/// Collects headings and lines.
class Lines {
 public:
  explicit Lines(std::string& out) : out_(out) {}

  void add(std::string_view text) {
    if (!text.empty()) separate(text);
    for (const char c : text) {
      if (white.find(c) == std::string_view::npos) {
        line_ += c;
      } else if (!line_.empty() && line_.back() != ' ') {
        line_ += ' ';
      }
    }
  }
  void add(const Mark& mark) {
    if (mark.kind == Mark::Kind::space) add(" ");
    if (mark.kind == Mark::Kind::line_end) end(mark.level);
    if (mark.kind == Mark::Kind::raised || mark.kind == Mark::Kind::lowered) between_ = mark.kind;
  }

 private:
  /// A number that is raised or lowered is no part of the one before it.
  void separate(std::string_view next) {
    const auto between = std::exchange(between_, Mark::Kind::nothing);
    if (line_.empty() || line_.back() == ' ') return;
    const auto begins = [&](std::string_view sign) { return next.starts_with(sign); };
    const bool number = is_digit(next.front());
    const bool exponent = number || begins("-") || begins("+") || begins("\u2212") || begins("\u2013");
    if (between == Mark::Kind::raised && exponent) line_ += '^';
    if (between == Mark::Kind::lowered && number && is_digit(line_.back())) line_ += ' ';
  }
  void end(std::size_t level) {
    while (line_.ends_with(' ')) line_.pop_back();
    while (level == 0 && (line_.starts_with("```") || line_.starts_with("~~~"))) {
      line_.erase(0, line_.find_first_not_of("`~ "));  // of nothing but marks, all
    }
    if (!line_.empty()) out_ += (level > 0 ? std::string(level, '#') : std::string()) + " " + line_ + "\n";
    line_.clear();
    between_ = Mark::Kind::nothing;
  }

  std::string& out_;
  std::string line_;
  Mark::Kind between_ = Mark::Kind::nothing;
};

/// Text with character references, which gumbo reads in pieces, as pages that have no element but a <br> for each mark: so
/// neither its tree nor what it keeps of a piece can grow with what the page is like.
class Decoder {
 public:
  explicit Decoder(Lines& lines) : lines_(lines) {}

  void add(std::string_view text) {
    if (begins_reference_) add(Mark());  // no reference goes on behind a tag: "&<b>amp;</b>" says "&amp;"
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('<', at), text.size());
      piece_ += text.substr(at, end - at);
      if (end < text.size()) piece_ += "&lt;";
      at = end + 1;
    }
    begins_reference_ = text.find('&') != std::string_view::npos;
  }
  void add(Mark mark) {
    begins_reference_ = false;
    piece_ += "<br>";
    marks_.push_back(mark);
  }
  std::vector<Mark>& marks() { return marks_; }  ///< of the piece so far
  bool is_long() const { return piece_.size() >= piece_bytes; }

  /// Ends the piece.
  Result<void> read() {
    GumboOptions options = kGumboDefaultOptions;
    options.max_errors = 0;  // it would copy what stands open for each of them
    const auto close = [&](GumboOutput* output) { gumbo_destroy_output(&options, output); };
    const std::string page = "<!doctype html><body>" + std::exchange(piece_, {});
    const std::unique_ptr<GumboOutput, decltype(close)> output(gumbo_parse_with_options(&options, page.data(), page.size()),
                                                               close);
    if (!output) return Error{ErrorCode::corrupt, "this cannot be read as HTML"};
    const auto* body = static_cast<const GumboNode*>(output->root->v.element.children.data[1]);  // behind <head>
    const GumboVector& children = body->v.element.children;
    auto mark = marks_.begin();
    for (unsigned i = 0; i < children.length; ++i) {
      const auto* node = static_cast<const GumboNode*>(children.data[i]);
      if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE) lines_.add(node->v.text.text);
      if (node->type == GUMBO_NODE_ELEMENT && mark != marks_.end()) lines_.add(*mark++);
    }
    marks_.clear();
    begins_reference_ = false;
    return {};
  }

 private:
  static constexpr std::size_t piece_bytes = std::size_t{1} << 16;
  Lines& lines_;
  std::string piece_;
  std::vector<Mark> marks_;
  bool begins_reference_ = false;  ///< the text at the piece's end may
};

/// What is seen of a page, divided into lines and headings.
class Text {
 public:
  explicit Text(std::string& out) : lines_(out), decoder_(lines_) {}

  Result<void> add(std::string_view text) {
    begun_ = begun_ || text.find_first_not_of(white) != std::string_view::npos;
    if (!begun_) return {};
    if (const auto kind = std::exchange(between_, Mark::Kind::nothing); kind != Mark::Kind::nothing) decoder_.add({kind, 0});
    decoder_.add(text);
    heading_bytes_ += text.size();
    if (heading_ > 0 && heading_bytes_ > heading_bytes_max) leave_heading();
    return heading_ == 0 && decoder_.is_long() ? decoder_.read() : Result<void>();
  }
  /// Before the next text of the line; the last one counts.
  void add_mark(Mark::Kind kind) { between_ = kind; }
  void end_line() {
    if (begun_) decoder_.add({Mark::Kind::line_end, std::exchange(level_, 0)});
    begun_ = false;
    between_ = Mark::Kind::nothing;
  }

  void begin_heading(std::size_t level) {
    end_line();
    heading_ = level;
    heading_bytes_ = 0;
    heading_marks_ = decoder_.marks().size();
  }
  /// By its end tag: all that it has is one line.
  void end_heading() {
    if (heading_ == 0) return;
    bool any = begun_;
    for (Mark& mark : marks_of_heading()) {
      any = any || mark.kind == Mark::Kind::line_end;
      if (mark.kind == Mark::Kind::line_end) mark.kind = Mark::Kind::space;
    }
    if (any) decoder_.add({Mark::Kind::line_end, heading_});
    begun_ = false;
    heading_ = 0;
  }
  /// It has no end tag, or one that is too far away to be meant: its first line is the heading.
  void leave_heading() {
    if (heading_ == 0) return;
    const auto marks = marks_of_heading();
    const auto first = std::ranges::find(marks, Mark::Kind::line_end, &Mark::kind);
    if (first != marks.end()) {
      first->level = heading_;
    } else if (begun_) {
      level_ = heading_;
    }
    heading_ = 0;
  }
  Result<void> finish() {
    leave_heading();
    end_line();
    return decoder_.read();
  }

 private:
  /// About what a section's name has room for.
  static constexpr std::size_t heading_bytes_max = 1024;
  std::span<Mark> marks_of_heading() { return std::span(decoder_.marks()).subspan(heading_marks_); }

  Lines lines_;
  Decoder decoder_;
  bool begun_ = false;  ///< the line has something in it
  Mark::Kind between_ = Mark::Kind::nothing;
  std::size_t level_ = 0;    ///< that the line ends with, whatever ends it
  std::size_t heading_ = 0;  ///< its level while it is open; until then its lines' ends may become spaces, so that none is read
  std::size_t heading_bytes_ = 0;
  std::size_t heading_marks_ = 0;  ///< the first mark that is its own
};

/// Whether a style's last word on a property is this value.
bool says(std::string_view style, std::string_view property, std::string_view value) {
  const auto trimmed = [](std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(white), text.size());
    return text.substr(begin, text.find_last_not_of(white) + 1 - begin);
  };
  bool said = false;
  while (!style.empty()) {
    const std::string_view declaration = style.substr(0, style.find(';'));
    style.remove_prefix(std::min(declaration.size() + 1, style.size()));
    const std::size_t colon = std::min(declaration.find(':'), declaration.size());
    if (!is_in_any_case(trimmed(declaration.substr(0, colon)), property)) continue;
    const std::string_view rest = declaration.substr(std::min(colon + 1, declaration.size()));
    said = is_in_any_case(trimmed(rest.substr(0, rest.find('!'))), value);  // "!important" says no more
  }
  return said;
}

bool is_hidden(const std::vector<HtmlAttribute>& attributes) {
  return std::ranges::any_of(attributes, [](const HtmlAttribute& each) {
    if (is_in_any_case(each.name, "hidden")) return true;
    if (is_in_any_case(each.name, "aria-hidden")) return is_in_any_case(each.value, "true");
    return is_in_any_case(each.name, "style") &&
           (says(each.value, "display", "none") || says(each.value, "visibility", "hidden"));
  });
}

/// As a text with character references that says the same.
std::string without_references(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '&' ? std::string("&amp;") : std::string(1, c);
  return result;
}

class Reader {
 public:
  Reader(std::string_view page, std::string& out) : tokens_(page), text_(out) {}

  Result<void> read() {
    HtmlToken token;
    while (tokens_.next(token, elements_.foreign())) {
      if (token.kind == HtmlToken::Kind::text) {
        if (elements_.seen()) TROUPE_TRY_DO(text_.add(token.text));
      } else if (token.name == "html" || token.name == "head" || token.name == "body") {
        text_.end_line();  // a page as a whole is not hidden, and has but one of each
      } else if (token.kind == HtmlToken::Kind::start) {
        TROUPE_TRY_DO(start(token));
      } else {
        end(token.name);
      }
    }
    return text_.finish();
  }
  /// With its character references.
  const std::optional<std::string_view>& title() const { return title_; }

 private:
  Result<void> start(const HtmlToken& token) {
    const HtmlTraits& traits = elements_.traits(token.name);
    const bool hidden = is_hidden(token.attributes);
    if (traits.text_only && !elements_.foreign()) {
      const std::string_view content = tokens_.take_text(token.name);
      if (token.name == "title" && !title_) title_ = content;
      if (traits.unseen) return {};
      text_.end_line();
      if (!hidden && elements_.seen()) TROUPE_TRY_DO(text_.add(without_references(content)));
      text_.end_line();
      return {};
    }
    elements_.start(token.name, hidden, token.closes_itself);
    if (heading_depth_ > elements_.depth()) leave_heading();
    separate(token.name, traits, Mark::Kind::raised);
    if (traits.heading > 0 && elements_.seen()) {
      leave_heading();
      text_.begin_heading(traits.heading);
      heading_depth_ = elements_.depth();
    }
    return {};
  }

  void end(const std::string& name) {
    const HtmlTraits& traits = elements_.traits(name);
    elements_.end(name);
    if (heading_depth_ > elements_.depth()) {
      if (traits.heading > 0) text_.end_heading();
      leave_heading();
    }
    separate(name, traits, Mark::Kind::lowered);
  }

  void leave_heading() {
    text_.leave_heading();
    heading_depth_ = 0;
  }

  /// Before or behind an element. What stands behind a raised number is told from it as a lowered one is.
  void separate(const std::string& name, const HtmlTraits& traits, Mark::Kind of_raised) {
    if (!traits.in_line && !traits.unseen) text_.end_line();
    if (!elements_.seen() || (name != "sup" && name != "sub")) return;
    text_.add_mark(name == "sup" ? of_raised : Mark::Kind::lowered);
  }

  HtmlTokens tokens_;
  HtmlElements elements_;
  Text text_;
  std::optional<std::string_view> title_;
  std::size_t heading_depth_ = 0;  ///< of the heading that is open; 0: none is
};

}  // namespace

Result<std::string> markdown_of_html(std::string_view text, std::string_view stem) {
  std::string body;
  Reader reader(text, body);
  TROUPE_TRY_DO(reader.read());
  std::string markdown;
  if (reader.title()) {
    Text title(markdown);
    title.begin_heading(1);
    TROUPE_TRY_DO(title.add(*reader.title()));
    TROUPE_TRY_DO(title.finish());
  }
  if (markdown.empty()) markdown = "# " + std::string(stem) + "\n";
  return markdown + body;
}

}  // namespace troupe::storage
