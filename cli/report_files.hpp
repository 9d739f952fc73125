// What a measurement writes to files beside its output: a page for people, and every answer for programs.
#pragma once

#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::cli {

class ReportFiles {
 public:
  /// Of the names --html and --answers; an empty one is not written. Tried before the work rather than after it, so that `io`
  /// comes at once. `invalid_argument` if one is among the files that the measurement reads (empty names aside).
  static Result<std::unique_ptr<ReportFiles>> open(const std::string& html, const std::string& answers,
                                                   const std::vector<std::string>& inputs);
  /// What was cut short leaves no page, and answers only if there are some.
  ~ReportFiles();
  ReportFiles(const ReportFiles&) = delete;
  ReportFiles& operator=(const ReportFiles&) = delete;

  /// Null: not asked for. The page is not written before `finish`.
  std::ostream* html() { return html_name_.empty() ? nullptr : &html_; }
  std::ostream* answers() { return answers_name_.empty() ? nullptr : &answers_; }
  /// `io` if something did not get there.
  Result<void> finish();

 private:
  ReportFiles(std::string html, std::string answers) : html_name_(std::move(html)), answers_name_(std::move(answers)) {}

  std::string html_name_;
  std::string answers_name_;
  std::ostringstream html_;
  std::ofstream page_;  ///< open from the beginning if it is no ordinary file
  std::ofstream answers_;
  bool answers_are_new_ = false;  ///< there was no such file before
};

}  // namespace troupe::cli
