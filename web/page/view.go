package page

import "html/template"

// view is a Model with what the templates compute from it.
type view struct {
	Model
}

func newView(m Model) view { return view{m} }

func functions(a *assets) template.FuncMap {
	return template.FuncMap{"asset": a.path}
}
