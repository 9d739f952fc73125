#include "cli/report_files.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace troupe::cli {

namespace {

Result<void> check_written(std::ofstream& file, const std::string& name) {
  file.flush();
  if (file) return {};
  return Error{ErrorCode::io, "cannot write to " + name + "; is there such a folder, and may it be written?"};
}

}  // namespace

Result<ReportFiles> ReportFiles::open(const std::string& html, const std::string& answers,
                                      const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const auto& [option, name] : {std::pair("--html", &html), std::pair("--answers", &answers)}) {
    for (const std::string& input : inputs) {
      if (name->empty() || input.empty() || !std::filesystem::equivalent(*name, input, ignored)) continue;
      return Error{ErrorCode::invalid_argument,
                   std::string(option) + " is " + input + ", which is read and would be written over; name another file"};
    }
  }
  if (!html.empty() && std::filesystem::weakly_canonical(html, ignored) == std::filesystem::weakly_canonical(answers, ignored))
    return Error{ErrorCode::invalid_argument, "--html and --answers are the same file; name two"};
  ReportFiles files;
  files.html_name_ = html;
  files.answers_name_ = answers;
  if (!html.empty()) files.html_.open(html, std::ios::binary);
  if (!answers.empty()) files.answers_.open(answers, std::ios::binary);
  TROUPE_TRY_DO(files.check());
  return files;
}

Result<void> ReportFiles::check() {
  TROUPE_TRY_DO(check_written(html_, html_name_));
  return check_written(answers_, answers_name_);
}

}  // namespace troupe::cli
